// Properties of the calls that have no module.
import fc from "fast-check";

import { biasOf, rotaryEmbedding as reference, sees, splitHeads } from "../js/reference.mjs";
import {
  attentionCase,
  fill,
  isOrdinary,
  makeAttention,
  makeRotary,
  makeVisibility,
  numbers,
  rotaryCase,
  upTo,
  visibility,
} from "./arbitraries.mjs";
import { checkAttention, expect, expectClose, expectSame, expectShape, references } from "./attention_oracle.mjs";

export const attention = {
  arbitrary: attentionCase,
  check({ hw, threaded }, each) {
    const made = makeAttention(each);
    const result = hw.attention(...made.args);
    checkAttention(made, result);
    const shared = threaded.attention(...made.args);
    expectSame(shared.output, result.output, "output of two threads");
    if (result.weights) expectSame(shared.weights, result.weights, "weights of two threads");
  },
};

export const rotaryEmbedding = {
  arbitrary: rotaryCase,
  check({ hw }, each) {
    const { x, args, cos, sin } = makeRotary(each);
    const result = hw.rotaryEmbedding(...args);
    expectShape(result, args[0].shape, "result");
    const turned = each.rank3 ? splitHeads(result, each.H) : result;
    const clean = { data: x.data.map((number) => (isOrdinary(number) ? number : 0)), shape: x.shape };
    const D = x.shape[3];
    const sound = (n) => x.data.subarray(n - (n % D), n - (n % D) + D).every(isOrdinary);
    const expected = references((round) => ({ result: reference(clean, args[1], cos, sin, round) }));
    expectClose(turned, expected, "result", sound);
  },
};

/** Statistics of one head in double. */
function statisticsOf(weights, h, options) {
  const [B, H, L, S] = weights.shape;
  const bias = biasOf(options.mask);
  let [entropy, choosing, distance, seeing] = [0, 0, 0, 0];
  for (let b = 0; b < B; ++b)
    for (let i = 0; i < L; ++i) {
      const offset = typeof options.offset === "object" ? options.offset[b] : (options.offset ?? 0);
      let [visible, sum] = [0, 0];
      for (let j = 0; j < S; ++j) {
        const p = weights.data[((b * H + h) * L + i) * S + j];
        if (bias(b, h, i, j) !== -Infinity && sees(options, b, i, j)) ++visible;
        if (p > 0) [sum, distance] = [sum - p * Math.log(p), distance + p * Math.abs(i + offset - j)];
      }
      if (visible > 0) ++seeing;
      if (visible > 1) [entropy, choosing] = [entropy + sum / Math.log(visible), choosing + 1];
    }
  return { entropy: choosing && entropy / choosing, distance: seeing && distance / seeing };
}

export const analysis = {
  arbitrary: fc.record({
    ...{ B: upTo(3, 1), H: upTo(4, 1), L: upTo(12, 1), S: upTo(20, 1), odd: fc.boolean(), numbers, ...visibility },
  }),
  check({ hw }, each) {
    const extents = [each.B, each.H, each.L, each.S];
    const options = makeVisibility(each, extents);
    const x = (length, more) => fill([each.B, each.H, length, 5], { seed: each.numbers.seed }, more);
    const { weights } = hw.attention(x(each.L, 0), x(each.S, 1), x(each.S, 2), {
      ...options,
      return: { weights: "probabilities" },
    });
    const given = each.odd ? fill(extents, each.numbers) : weights;
    const statistics = hw.analyzeHeads(given, options);
    expect(statistics.length === each.H, `${statistics.length} heads`);
    for (const [h, { entropy, distance }] of statistics.entries()) {
      expect(typeof entropy === "number" && typeof distance === "number", "statistics are numbers");
      if (each.odd || !weights.data.every(isOrdinary)) continue;
      const exact = statisticsOf(weights, h, options);
      expect(Math.abs(entropy - exact.entropy) <= 1e-5, `entropy ${entropy}, not ${exact.entropy}`);
      const allowed = 1e-5 * Math.max(1, exact.distance);
      expect(Math.abs(distance - exact.distance) <= allowed, `distance ${distance}, not ${exact.distance}`);
    }
  },
};
