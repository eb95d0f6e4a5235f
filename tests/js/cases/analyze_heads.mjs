import { headStatistics, random } from "../reference.mjs";
import { expectError } from "./support.mjs";

const [B, H, L, S] = [2, 3, 5, 7];

/** What each statistic may differ by from the reference, in 1 or in tokens. */
const allowed = (exact) => 1e-5 * Math.max(1, exact);

function expectStatistics(expect, ours, exact, label) {
  expect(ours.length, label).to.equal(exact.length);
  for (const [h, head] of exact.entries()) {
    expect(Object.keys(ours[h]), label).to.deep.equal(Object.keys(head));
    for (const [name, value] of Object.entries(head))
      expect(ours[h][name], `${label}: ${name} of head ${h}`).to.be.closeTo(value, allowed(value));
  }
}

const visibilities = {
  everything: {},
  causal: { causal: true },
  "causal, placed": { causal: true, offset: 2 },
  "placed row by row": { offset: Int32Array.of(-3, 4) },
  "placed beside the keys": { offset: Int32Array.of(-9, 9) },
  "a window": { window: { left: 2, right: 0 }, offset: 1 },
  "key lengths": { keyLengths: Int32Array.of(4, 0), causal: true },
  "a mask of bytes": { mask: { data: Uint8Array.of(1, 0, 1, 1, 1, 0, 1), shape: [7] } },
  "a mask by head": {
    mask: { data: random([H, L, S], 5).data.map((x) => (x < 0 ? -Infinity : x)), shape: [H, L, S] },
    causal: true,
    offset: 2,
  },
  "nothing at all": { keyLengths: Int32Array.of(0, 0) },
};

export const analyzeHeadsCases = [
  {
    name: "analyzeHeads agrees with the reference, whatever is visible",
    async run({ hw, expect }) {
      const [x, keys] = [random([B, H, L, 4], 1), random([B, H, S, 4], 2)];
      const tokens = Int32Array.from([3, 1, 3, 3, -1, 1, 3, 2 ** 31 - 1, 0, 2 ** 31 - 1, 0, 1, 1, 0]);
      for (const [label, options] of Object.entries(visibilities)) {
        const { weights } = await hw.attention(x, keys, keys, {
          ...options,
          scale: 3,
          return: { weights: "probabilities" },
        });
        for (const given of [{}, { tokens }, { tokens: tokens.subarray(0, S) }]) {
          const exact = headStatistics(weights, { ...options, ...given });
          expectStatistics(expect, await hw.analyzeHeads(weights, { ...options, ...given }), exact, label);
        }
      }
      for (const shape of [
        [H, L, S],
        [L, S],
      ]) {
        const { weights } = await hw.attention(
          random([1, shape.at(-3) ?? 1, L, 4], 1),
          random([1, shape.at(-3) ?? 1, S, 4], 2),
          random([1, shape.at(-3) ?? 1, S, 4], 2),
          { return: { weights: "probabilities" } },
        );
        const exact = headStatistics(weights, { tokens: tokens.subarray(0, S) });
        const ours = await hw.analyzeHeads({ data: weights.data, shape }, { tokens: tokens.subarray(0, S) });
        expectStatistics(expect, ours, exact, `rank ${shape.length}`);
      }
    },
  },
  {
    name: "analyzeHeads knows a duplicate-token head from an induction head",
    async run({ hw, expect }) {
      // 5 random tokens, twice. Head 0 looks at the earlier same token, head 1 at the one after it, both else at the first.
      const [half, length] = [5, 10];
      const tokens = Int32Array.from({ length }, (_, i) => (7 * (i % half)) % 5);
      const weights = { data: new Float32Array(2 * length * length), shape: [1, 2, length, length] };
      for (let i = 0; i < length; ++i) {
        weights.data[i * length + Math.max(i - half, 0)] = 1;
        weights.data[(length + i) * length + Math.max(i - half + 1, 0)] = 1;
      }
      const [duplicate, induction] = await hw.analyzeHeads(weights, { causal: true, tokens });
      expect(duplicate).to.include({ duplicate: 1, induction: 0, confidence: 1, next: 0 });
      expect(induction).to.include({ duplicate: 0, induction: 1, confidence: 1, next: 0 });
      expect(induction.first).to.be.closeTo(0.5, 1e-6); // queries 0 … 4 of 10
    },
  },
  {
    name: "analyzeHeads checks its arguments",
    async run({ hw, expect }) {
      const heads = random([2, 2, 3, 4], 1);
      await expectError(expect, "invalid-shape", ["weights", "[B, H, L, S]", "[24]"], () =>
        hw.analyzeHeads({ data: new Float32Array(24), shape: [24] }),
      );
      await expectError(expect, "invalid-option", ["analyzeHeads", '"token"', "tokens"], () =>
        hw.analyzeHeads(heads, { token: new Int32Array(4) }),
      );
      await expectError(expect, "invalid-option", ["tokens", "Int32Array"], () =>
        hw.analyzeHeads(heads, { tokens: Float32Array.of(1, 2, 3, 4) }),
      );
      await expectError(expect, "invalid-shape", ["tokens", "[2, 4]", "[4]", "[6]"], () =>
        hw.analyzeHeads(heads, { tokens: new Int32Array(6) }),
      );
    },
  },
];
