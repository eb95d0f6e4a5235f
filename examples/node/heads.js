// What each head of a layer looks at, and the layer without the head that looks furthest.
import { load, tensor } from "headwise";

const hw = await load();
const attention = hw.multiHeadAttention({ embedDim: 64, numHeads: 4, seed: 1 });
const tokens = tensor(
  new Float32Array(10 * 64).map((_, n) => Math.sin(n * n)),
  [10, 64],
);
const { weights } = attention.forward(tokens, { causal: true, return: { weights: "probabilities" } });
const statistics = hw.analyzeHeads(weights, { causal: true });
console.table(statistics.map(({ entropy, distance, confidence }) => ({ entropy, distance, confidence })));
const furthest = statistics.reduce(
  (best, { distance }, head) => (distance > statistics[best].distance ? head : best),
  0,
);
console.log(`without head ${furthest}: heads ${attention.prune([furthest]).keptHeads}`);
hw.dispose();
