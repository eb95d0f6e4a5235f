import * as reference from "../reference.mjs";
import { random } from "../reference.mjs";
import { expectClose } from "./support.mjs";

export const rotaryEmbeddingCases = [
  {
    name: "rotaryEmbedding agrees with the reference: positions, base, partial, interleaved, tables, ranks",
    async run({ hw, expect }) {
      const [B, H, L, D] = [2, 3, 7, 20];
      const x = random([B, H, L, D], 1);
      const positions = Int32Array.from({ length: B * L }, (_, n) => (n * 7919) % 50);
      const far = positions.map((p) => p * 100_003 - 70);
      for (const options of [
        {},
        { interleaved: true },
        { dim: 8 },
        { dim: 2, interleaved: true, base: 500_000 },
        { positions },
        { positions: far, dim: 14, base: 100 },
      ]) {
        const { dim = D, base = 10000 } = options;
        const angle = (b, i, k) => (options.positions?.[b * L + i] ?? i) * base ** ((-2 * k) / dim);
        const [cos, sin] = [Math.cos, Math.sin].map((fn) => (b, i, k) => fn(angle(b, i, k)));
        const expected = (round) => reference.rotaryEmbedding(x, options, cos, sin, round);
        const label = JSON.stringify(options);
        const output = await hw.rotaryEmbedding(x, options);
        expectClose(expect, output, expected, label);
        const rank3 = await hw.rotaryEmbedding(reference.mergeHeads(x), { ...options, numHeads: H });
        expect(rank3, label).to.deep.equal(reference.mergeHeads(output));

        const table = (fn, rows, at) => {
          const data = Float32Array.from({ length: (rows * dim) / 2 }, (_, n) =>
            fn(...at(Math.floor(n / (dim / 2))), n % (dim / 2)),
          );
          return { data, shape: [rows, dim / 2] };
        };
        const { base: _, ...others } = options;
        if (options.positions === undefined) {
          const at = (row) => [Math.floor(row / L), row % L];
          const own = (fn) => ({ ...table(fn, B * L, at), shape: [B, L, dim / 2] });
          const tables = { cos: own(cos), sin: own(sin) };
          expectClose(expect, await hw.rotaryEmbedding(x, { ...others, ...tables }), expected, label);
        } else if (options.positions === positions) {
          const shared = (fn) =>
            table(
              (p, k) => fn(p * base ** ((-2 * k) / dim)),
              50,
              (row) => [row],
            );
          const tables = { cos: shared(Math.cos), sin: shared(Math.sin) };
          expectClose(expect, await hw.rotaryEmbedding(x, { ...others, ...tables }), expected, label);
        }
      }
    },
  },
  {
    name: "scores of turned queries and keys depend on distances alone",
    async run({ hw, expect }) {
      const x = random([1, 2, 6, 8], 1);
      const scores = async (first) => {
        const turned = await hw.rotaryEmbedding(x, { positions: Int32Array.from({ length: 6 }, (_, i) => first + i) });
        return (await hw.attention(turned, turned, x, { return: { weights: "scores" } })).weights.data;
      };
      const [near, far] = [await scores(0), await scores(-1234)];
      near.forEach((score, n) => expect(score).to.be.closeTo(far[n], 1e-6));
    },
  },
];
