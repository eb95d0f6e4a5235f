// What the page's first half must show: the library's own results, computed here in Node through the package on the same
// model, and plain arithmetic on them, independently of the page's code.
import assert from "node:assert/strict";

import { load } from "../../dist/index.js";
import { importPageCode } from "./page_code.mjs";

const HEADS = [0, 1, 2, 3];
export const OPEN = [1, 1, 1, 1];
export const SENTENCE = "She saw the man with the telescope.";
/** The page and Node may run different binaries (relaxed SIMD or not), whose roundings differ. */
export const TOLERANCE = 2e-5;

/** @param url of the page */
export async function loadOracle(url) {
  const { loadModel } = await importPageCode("web/src/heads/model/index.ts");
  const model = await loadModel(new URL("model/", url));
  const hw = await load({ threads: 1 });
  const wide = { ...model.config, numHeads: 1, headDim: 256, valueHeadDim: 256 };
  const [gated, open, single] = [model.config, model.config, wide].map((config) => {
    const mha = hw.multiHeadAttention(config);
    mha.setParameters(model.parameters);
    return mha;
  });

  function compute(text, { causal = false, gates = OPEN } = {}) {
    const tokens = model.tokenize(text);
    const x = model.embed(tokens.map(({ id }) => id));
    gated.setHeadGates(Float32Array.from(gates));
    const all = gated.forward(x, { causal, return: { weights: "probabilities", heads: "contributions" } });
    const values = gated.forward(x, { causal, return: { heads: "values" } });
    const wide = single.forward(x, { causal, return: { weights: "probabilities" } });
    const before = open.forward(x, { causal }).output.data;
    const after = all.output.data;

    const statistics = (weights) => hw.analyzeHeads({ data: weights.data, shape: [1, ...weights.shape] }, { causal });
    const slice = ({ data }, h) => data.subarray((h * data.length) / 4, ((h + 1) * data.length) / 4);
    const norms = HEADS.map((h) => Math.sqrt(slice(all.heads, h).reduce((sum, value) => sum + value * value, 0)));
    const total = norms.reduce((sum, value) => sum + value);
    const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const row = (data, t) => Array.from(data.subarray(t * 512, (t + 1) * 512));
    return {
      tokens,
      heads: statistics(all.weights).map(({ entropy, distance }, h) => ({
        entropy,
        distance,
        share: norms[h] / total,
        weights: slice(all.weights, h),
        values: slice(values.heads, h),
        contributions: slice(all.heads, h),
      })),
      single: statistics(wide.weights)[0],
      change: tokens.map((_, t) => {
        const [a, b] = [row(before, t), row(after, t)];
        return 1 - dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      }),
    };
  }

  return { compute, dispose: () => hw.dispose() };
}

/** Data and text of all five cards against `expected`. */
export async function compareCards(screen, expected, tolerance = TOLERANCE) {
  const format = {
    entropy: (value) => value.toFixed(2),
    distance: (value) => `${value.toFixed(2)} tokens`,
    share: (value) => (Number.isNaN(value) ? "–" : `${(100 * value).toFixed(1)} %`),
  };
  for (const { head, metric, value, shown } of await screen.cards()) {
    const wanted = (head === "single" ? expected.single : expected.heads[Number(head) - 1])[metric];
    // A distance is in tokens, up to 128: its roundings grow with it.
    const allowed = tolerance * Math.max(1, wanted || 0);
    const same = Number.isNaN(wanted) ? Number.isNaN(value) : Math.abs(value - wanted) <= allowed;
    assert.ok(same, `head ${head}, ${metric}: ${value} on the page, ${wanted} from the library`);
    assert.equal(shown, format[metric](value), `head ${head}, ${metric}`);
  }
}
