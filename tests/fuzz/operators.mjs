// Properties of the calls that have no module.
import fc from "fast-check";

import { headStatistics, rotaryEmbedding as reference, splitHeads } from "../js/reference.mjs";
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

export const analysis = {
  arbitrary: fc.record({
    ...{
      B: upTo(3, 1),
      H: upTo(4, 1),
      L: upTo(12, 1),
      S: upTo(20, 1),
      odd: fc.boolean(),
      tokens: fc.constantFrom("none", "shared", "each"),
      numbers,
      ...visibility,
    },
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
    if (each.tokens !== "none") {
      const count = each.tokens === "each" ? each.B * each.S : each.S;
      options.tokens = Int32Array.from({ length: count }, (_, n) => (n * n + each.numbers.seed) % 5);
    }
    const statistics = hw.analyzeHeads(given, options);
    expect(statistics.length === each.H, `${statistics.length} heads`);
    const ordinary = !each.odd && weights.data.every(isOrdinary);
    const exact = ordinary ? headStatistics(weights, options) : [];
    for (const [h, head] of statistics.entries()) {
      expect(
        Object.values(head).every((value) => typeof value === "number"),
        "statistics are numbers",
      );
      for (const [name, value] of Object.entries(exact[h] ?? {}))
        expect(Math.abs(head[name] - value) <= 1e-5 * Math.max(1, value), `${name} ${head[name]}, not ${value}`);
    }
  },
};
