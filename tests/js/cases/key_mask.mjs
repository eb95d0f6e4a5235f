// The mask of keys that are padding, beside other masks.
import { random } from "../reference.mjs";
import { expectError } from "./support.mjs";

const [B, H, L, S, D] = [2, 2, 3, 5, 4];
const heads = (length, seed) => random([B, H, length, D], seed);
const [query, key, value] = [heads(L, 1), heads(S, 2), heads(S, 3)];
const kept = [1, 0, 1, 1, 0, 0, 1, 1, 0, 1]; // [B, S]
const asked = { return: { weights: "masked" } };

const at = (n) => [Math.floor(n / (H * L * S)), Math.floor(n / (L * S)) % H, Math.floor(n / S) % L, n % S];

/** A mask of [B, H, L, S]: -Infinity where a key is padding, else by a function. */
const whole = (mask = () => 0) => ({
  data: Float32Array.from({ length: B * H * L * S }, (_, n) => {
    const [b, h, i, j] = at(n);
    return kept[b * S + j] ? mask(b, h, i, j) : -Infinity;
  }),
  shape: [B, H, L, S],
});

export const keyMaskCases = [
  {
    name: "keyMask masks keys of each batch row: alone, in every type, beside every other mask",
    async run({ hw, expect }) {
      const forms = [
        { data: Uint8Array.from(kept), shape: [B, S] },
        { data: Int32Array.from(kept, (x) => -7 * x), shape: [B, S] },
        { data: BigInt64Array.from(kept, (x) => BigInt(x) << 40n), dims: [B, S] },
      ];
      const attention = (options) => hw.attention(query, key, value, { ...asked, ...options });
      for (const more of [
        {},
        { causal: true, offset: 1 },
        { window: { left: 1 } },
        { keyLengths: Int32Array.of(4, 3) },
      ]) {
        const expected = await attention({ ...more, mask: whole() });
        for (const keyMask of forms) expect(await attention({ ...more, keyMask })).to.deep.equal(expected);
      }
      const bias = (b, h, i, j) => 0.25 * b + h - 0.5 * i + 0.125 * j;
      const [keyMask] = forms;
      const full = { ...whole(), data: whole().data.map((_, n) => bias(...at(n))) };
      expect(await attention({ mask: full, keyMask })).to.deep.equal(await attention({ mask: whole(bias) }));
      const rows = { data: Float32Array.from({ length: L }, (_, i) => i), shape: [L, 1] }; // broadcasts: no memory of its own
      const ofRows = await attention({ mask: whole((b, h, i) => i) });
      expect(await attention({ mask: rows, keyMask })).to.deep.equal(ofRows);
      const integers = { data: Int32Array.from({ length: L * S }, (_, n) => n % 3), shape: [L, S] };
      const ofIntegers = whole((b, h, i, j) => ((i * S + j) % 3 ? 0 : -Infinity));
      expect(await attention({ mask: integers, keyMask })).to.deep.equal(await attention({ mask: ofIntegers }));
      const short = { data: new Float32Array(3), shape: [3] }; // masks keys 3 and 4
      const ofShort = await attention({ mask: whole((b, h, i, j) => (j < 3 ? 0 : -Infinity)) });
      const beside = await attention({ mask: short, keyMask });
      expect(beside.weights).to.deep.equal(ofShort.weights);
      beside.output.data.forEach((value, n) => expect(value).to.be.closeTo(ofShort.output.data[n], 1e-6)); // fewer to sum
    },
  },
  {
    name: "keyMask: one row for all, past keys, one head; a row without keys gives zeros, NaN in padding goes nowhere",
    async run({ hw, expect }) {
      const one = { data: Uint8Array.of(1, 0, 1, 1, 0), shape: [S] };
      const both = { data: Uint8Array.of(1, 0, 1, 1, 0, 1, 0, 1, 1, 0), shape: [B, S] };
      const expected = await hw.attention(query, key, value, { keyMask: both });
      for (const shape of [[S], [1, S]])
        expect(await hw.attention(query, key, value, { keyMask: { ...one, shape } })).to.deep.equal(expected);
      const part = (t, from, to) => {
        const rows = Array.from({ length: B * H }, (_, n) => [
          ...t.data.subarray((n * S + from) * D, (n * S + to) * D),
        ]);
        return { data: Float32Array.from(rows.flat()), shape: [B, H, to - from, D] };
      };
      const past = { key: part(key, 0, 2), value: part(value, 0, 2) };
      const { output } = await hw.attention(query, part(key, 2, S), part(value, 2, S), { past, keyMask: one });
      expect(output).to.deep.equal(expected.output);
      const spoilt = { ...key, data: key.data.map((x, n) => ([1, 4].includes(Math.floor(n / D) % S) ? NaN : x)) };
      expect(await hw.attention(query, spoilt, value, { keyMask: one })).to.deep.equal(expected);
      const none = await hw.attention(random([3, 4], 1), random([5, 4], 2), random([5, 4], 3), {
        keyMask: { data: new Uint8Array(5), shape: [5] },
      });
      expect([...none.output.data]).to.deep.equal(Array(12).fill(0));
    },
  },
  {
    name: "keyMask in a module: forward, with a cache, backward; and in analyzeHeads",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const x = random([B, S, 8], 4);
      const keyMask = { data: Uint8Array.from(kept), shape: [B, S] };
      const mask = { data: Uint8Array.from(kept), shape: [B, 1, 1, S] };
      const bias = { data: random([S, S], 5).data, shape: [S, S] };
      const floats = Float32Array.from({ length: B * S * S }, (_, n) => {
        const [b, i, j] = [Math.floor(n / (S * S)), Math.floor(n / S) % S, n % S];
        return kept[b * S + j] ? bias.data[i * S + j] : -Infinity;
      });
      const both = { data: floats, shape: [B, 1, S, S] };
      const gradOutput = random([B, S, 8], 6);
      for (const [one, other] of [
        [{ keyMask }, { mask }],
        [{ keyMask, mask: bias }, { mask: both }],
      ]) {
        const results = [];
        for (const options of [one, other]) {
          await mha.zeroGradients();
          const { output, weights } = await mha.forward(x, {
            ...options,
            train: true,
            return: { weights: "probabilities" },
          });
          const inputs = await mha.backward(gradOutput);
          results.push([output, weights, inputs, await mha.gradients()]);
        }
        expect(results[0]).to.deep.equal(results[1]);
        const [, weights] = results[0];
        expect(await hw.analyzeHeads(weights, one)).to.deep.equal(await hw.analyzeHeads(weights, other));
      }
      const outputs = [];
      for (const options of [{ keyMask }, { mask }]) {
        const cache = await mha.cache({ batch: B, capacity: S });
        await mha.forward(random([B, 3, 8], 7), { cache });
        outputs.push(await mha.forward(random([B, 2, 8], 8), { cache, ...options }));
        await cache.dispose();
      }
      expect(outputs[0]).to.deep.equal(outputs[1]);
      await mha.dispose();
    },
  },
  {
    name: "keyMask is checked",
    async run({ hw, expect }) {
      const refused = (code, parts, keyMask) =>
        expectError(expect, code, ["keyMask", ...parts], () => hw.attention(query, key, value, { keyMask }));
      await refused("invalid-option", ["{ data, shape }", "[1, 1]"], [1, 1]);
      await refused("invalid-option", ["Uint8Array", "Float32Array"], random([B, S], 1));
      await refused("invalid-shape", ["[2, 5]", "[5, 2]"], { data: new Uint8Array(10), shape: [5, 2] });
      await refused("invalid-shape", ["[2, 5]", "[2, 4]"], { data: new Uint8Array(8), shape: [2, 4] });
      await refused("invalid-shape", ["[2, 5]", "[2, 1, 1, 5]"], { data: new Uint8Array(10), shape: [2, 1, 1, 5] });
      await refused("invalid-shape", ["10", "9"], { data: new Uint8Array(9), shape: [2, 5] });
    },
  },
];
