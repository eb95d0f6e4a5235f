// What the page must show of its own model: the same files through the page's encoder and the library in Node (tests/page/model.test.mjs holds
// the encoder to TensorFlow.js), and plain arithmetic on the results, independently of the page's components.
import assert from "node:assert/strict";

import { load } from "../../dist/worker.js";
import { importPageCode } from "./page_code.mjs";

export const HEADS = [1, 2].flatMap((layer) => [1, 2, 3, 4].map((head) => `${layer}.${head}`));
/** Gates by layer and head. */
export const OPEN = [
  [1, 1, 1, 1],
  [1, 1, 1, 1],
];
export const SENTENCE = "She saw the man with the telescope.";
/** The page and Node may run different binaries (relaxed SIMD or not), whose roundings differ. */
export const TOLERANCE = 2e-5;

/** @param url of the page */
export async function loadOracle(url) {
  const { Encoder } = await importPageCode("web/src/heads/encoder.ts");
  const { loadFirst, loadRest } = await importPageCode("web/src/heads/model/index.ts");
  const base = new URL("model/", url);
  const hw = await load({ threads: 1 });
  const [first, rest] = [await loadFirst(base), await loadRest(base)];
  const encoder = await Encoder.make(hw, first);
  await encoder.complete(rest);
  const biases = [first, rest].map(({ tensors }, layer) => tensors[`layers.${layer}.attention.out_proj.bias`].data);
  const { signal } = new AbortController();

  async function compute(text, { causal = false, gates = OPEN } = {}) {
    const tokens = encoder.tokenize(text);
    const run = await encoder.run({ tokens, gates, causal }, signal);
    const open = await encoder.run({ tokens, gates: OPEN, causal }, signal);
    const looks = await Promise.all([0, 1].map((layer) => encoder.look({ tokens, gates, causal }, layer, signal)));
    const slice = ({ data }, h) => data.subarray((h * data.length) / 4, ((h + 1) * data.length) / 4);
    const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const row = (data, t) => Array.from(data.subarray(t * 512, (t + 1) * 512));
    const heads = HEADS.map((name, n) => {
      const [layer, h] = [n >> 2, n % 4];
      const look = looks[layer];
      const { entropy, distance } = run.statistics[layer][h];
      const part =
        dot(slice(look.contributions, h), look.attention.data) / dot(look.attention.data, look.attention.data);
      const [outputs, contributions] = [look.outputs, look.contributions].map((each) => slice(each, h));
      return [name, { entropy, distance, part, weights: slice(run.weights[layer], h), outputs, contributions }];
    });
    return {
      tokens,
      heads: Object.fromEntries(heads),
      embedding: await encoder.embed({ tokens, gates, causal }, null, signal),
      looks,
      /** By layer: ⟨b, output⟩ / ‖output‖², b the output bias of every token. */
      biasParts: looks.map(({ attention: { data } }, layer) => {
        const bias = data.map((_, i) => biases[layer][i % 512]);
        return dot(bias, data) / dot(data, data);
      }),
      change: tokens.map((_, t) => {
        const [a, b] = [row(open.hidden.data, t), row(run.hidden.data, t)];
        return 1 - dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      }),
    };
  }

  /** Cosine of two texts' embeddings. */
  async function similarity(a, b, gates = OPEN) {
    const [one, other] = [await compute(a, { gates }), await compute(b, { gates })];
    return one.embedding.reduce((sum, value, i) => sum + value * other.embedding[i], 0);
  }

  return { compute, similarity, dispose: () => hw.dispose() };
}

/** Data and text of all cards against `expected`. */
export async function compareCards(screen, expected, tolerance = TOLERANCE) {
  const cards = (await screen.cards()).filter(({ metric }) => metric === "entropy" || metric === "distance");
  assert.equal(cards.length, 2 * HEADS.length);
  for (const { head, metric, value, shown } of cards) {
    const wanted = expected.heads[head][metric];
    // A distance is in tokens, up to 128: its roundings grow with it.
    const allowed = tolerance * Math.max(1, wanted);
    assert.ok(Math.abs(value - wanted) <= allowed, `head ${head}, ${metric}: ${value} on the page, ${wanted} expected`);
    assert.equal(shown, value.toFixed(2), `head ${head}, ${metric}`);
  }
}

/** All gates on but these heads'. */
export const without = (...names) =>
  OPEN.map((of, layer) => of.map((_, head) => Number(!names.includes(`${layer + 1}.${head + 1}`))));
