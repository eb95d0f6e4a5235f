/** Gates of heads that learn to close: hard concrete variables with a penalty of those that are open. */
import { float64, integer, seed } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import { random } from "../base/random.js";
import { counter, lossOf } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { checkLanguageModel } from "./model.js";
import type { LearnedGates, LearnGatesOptions } from "./pruning_types.js";
import { checkTextBatches } from "./texts.js";

const optionTable = {
  penalty: withDefault(float64(">= 0"), 0.01),
  steps: withDefault(integer(1), 200),
  learningRate: withDefault(float64("> 0"), 0.1),
  seed: withDefault(seed, 0),
} satisfies OptionTable<LearnGatesOptions>;

/** β, γ and ζ of Louizos et al. 2018. */
const [temperature, low, high] = [2 / 3, -0.1, 1.1];
const firstLogAlpha = 2; // a gate is open with a probability of 97 %
const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8]; // of Adam

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const stretch = (s: number) => Math.min(Math.max(s * (high - low) + low, 0), 1);
const openness = (logAlpha: number) => sigmoid(logAlpha - temperature * Math.log(-low / high));

export function* learnGates(
  instance: Instance,
  modelLike: unknown,
  batchesLike: unknown,
  optionsLike?: LearnGatesOptions,
): LongWork<LearnedGates> {
  const { penalty, steps, learningRate, seed } = readOptions(optionsLike, "learnGates", optionTable);
  const given = checkLanguageModel(modelLike, instance, "learnGates");
  const batches = checkTextBatches(batchesLike, "batches", given);
  const model = given.prune({}); // a copy, since gates are set between steps
  try {
    const gates = model.config.heads.map((_, n) => model.attention(n).headGates);
    const logAlphas = gates.map((layer) => new Float64Array(layer.length).fill(firstLogAlpha));
    const [means, squares] = [0, 1].map(() => gates.map((layer) => new Float64Array(layer.length)));
    const setGates = (factors: readonly Float64Array[]) =>
      gates.forEach((layer, n) => model.attention(n).setHeadGates(layer.map((gate, h) => gate * factors[n]![h]!)));
    const next = random(seed);
    const step = counter(steps + batches.length);
    for (let t = 1; t <= steps; ++t) {
      const concrete = logAlphas.map((layer) =>
        layer.map((logAlpha) => {
          const u = next() + 2 ** -33; // above 0 and below 1
          return sigmoid((Math.log(u) - Math.log(1 - u) + logAlpha) / temperature);
        }),
      );
      setGates(concrete.map((layer) => layer.map(stretch)));
      const { tokens, targets } = batches[(t - 1) % batches.length]!;
      model.measureGateGradients(tokens, targets).forEach((layer, n) =>
        layer.forEach((slope, h) => {
          const s = concrete[n]![h]!;
          const z = stretch(s);
          const slopeOfGate = z > 0 && z < 1 ? ((high - low) * s * (1 - s)) / temperature : 0;
          const open = openness(logAlphas[n]![h]!);
          const gradient = slope * gates[n]![h]! * slopeOfGate + penalty * open * (1 - open);
          const mean = (means![n]![h] = beta1 * means![n]![h]! + (1 - beta1) * gradient);
          const square = (squares![n]![h] = beta2 * squares![n]![h]! + (1 - beta2) * gradient ** 2);
          const size = Math.sqrt(square / (1 - beta2 ** t)) + epsilon;
          logAlphas[n]![h]! -= (learningRate * mean) / (1 - beta1 ** t) / size;
        }),
      );
      yield step();
    }
    const found = logAlphas.map((layer) => layer.map((logAlpha) => stretch(sigmoid(logAlpha))));
    setGates(found);
    const loss = yield* lossOf(model, batches, step);
    return {
      importance: logAlphas.map((layer) => Array.from(layer, openness)),
      gates: found.map((layer) => Array.from(layer)),
      loss,
    };
  } finally {
    model.dispose();
  }
}
