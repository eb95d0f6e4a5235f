import * as reference from "../reference.mjs";
import { random } from "../reference.mjs";
import { expectClose, expectError } from "./support.mjs";

// [B, H, L, S, D, Dv]: none, or not all, multiples of the vectors and tiles inside.
const shapes = [
  [1, 1, 1, 1, 1, 1],
  [2, 3, 15, 17, 15, 15],
  [1, 4, 17, 3, 8, 5],
  [1, 2, 1, 33, 16, 64],
  [2, 2, 50, 49, 4, 3],
];

const inputs = ([B, H, L, S, D, Dv]) => [random([B, H, L, D], 1), random([B, H, S, D], 2), random([B, H, S, Dv], 3)];

/** Masks of every type, and of shapes that broadcast in different ways. */
function masks([B, H, L, S]) {
  const bits = (count, seed) => Array.from(reference.randomFloats(count, seed), (x) => (x < -0.3 ? 0 : 1));
  const floats = (shape, seed) => ({
    data: reference.randomFloats(reference.product(shape), seed).map((x) => (x < -0.3 ? -Infinity : 3 * x)),
    shape,
  });
  return {
    "float [L, S]": floats([L, S], 4),
    "float [B, H, L, S]": floats([B, H, L, S], 5),
    "float [H, 1, 1]": floats([H, 1, 1], 6),
    "bytes [B, 1, 1, S]": { data: Uint8Array.from(bits(B * S, 7)), shape: [B, 1, 1, S] },
    "int32 [H, L, S]": { data: Int32Array.from(bits(H * L * S, 8)), shape: [H, L, S] },
    "int64 [B, 1, L, 1]": { data: BigInt64Array.from(bits(B * L, 9), BigInt), shape: [B, 1, L, 1] },
    "bytes [S]": { data: Uint8Array.from(bits(S, 10)), shape: [S] },
  };
}

async function checkAttention({ hw, expect }, shape, options, label) {
  const [query, key, value] = inputs(shape);
  const { output, weights } = await hw.attention(query, key, value, {
    ...options,
    return: { weights: "probabilities" },
  });
  const expected = (name) => (round) => reference.attention(query, key, value, options, round)[name];
  expectClose(expect, output, expected("output"), `${label}: output`);
  expectClose(expect, weights, expected("weights"), `${label}: weights`);
  const alone = await hw.attention(query, key, value, options);
  expect(alone.weights).to.equal(undefined);
  expect(alone.output.data, `${label}: without weights`).to.deep.equal(output.data);
}

export const attentionCases = [
  {
    name: "attention agrees with the reference on every shape, plain, causal and with offsets",
    async run(context) {
      for (const shape of shapes) {
        for (const options of [
          {},
          { causal: true },
          { causal: true, offset: 4 },
          { causal: true, offset: -3 },
          { scale: 0 },
        ]) {
          await checkAttention(context, shape, options, `${shape} ${JSON.stringify(options)}`);
        }
      }
    },
  },
  {
    name: "masks of every type and broadcast combine with causality, key lengths and gates",
    async run(context) {
      for (const shape of shapes) {
        const [B, H, , S] = shape;
        for (const [label, mask] of Object.entries(masks(shape))) {
          await checkAttention(context, shape, { mask }, `${shape} ${label}`);
          const keyLengths = Int32Array.from({ length: B }, (_, b) => Math.floor(S / (b + 1)));
          const headGates = reference.randomFloats(H, 11);
          headGates[0] = 0;
          const options = { mask, causal: true, offset: 1, keyLengths, headGates, scale: 0.7 };
          await checkAttention(context, shape, options, `${shape} ${label} and all else`);
        }
      }
    },
  },
  {
    name: "ranks 2 and 3 are the same heads in other places",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([2, 3, 15, 17, 5, 7]);
      const merged = [query, key, value].map(reference.mergeHeads);
      const options = { causal: true, return: { weights: "probabilities" } };
      const rank4 = await hw.attention(query, key, value, options);
      const rank3 = await hw.attention(...merged, { numHeads: 3, ...options });
      expect(rank3.output.shape).to.deep.equal([2, 15, 21]);
      expect(reference.splitHeads(rank3.output, 3).data).to.deep.equal(rank4.output.data);
      expect(rank3.weights).to.deep.equal(rank4.weights);
      const first = (t) => ({ data: t.data.slice(0, t.shape[2] * t.shape[3]), shape: t.shape.slice(2) });
      const rank2 = await hw.attention(first(query), first(key), first(value), options);
      expect(rank2.output).to.deep.equal(first(rank4.output));
      expect(rank2.weights).to.deep.equal(first(rank4.weights));
    },
  },
  {
    name: "fully masked rows are zeros in output and weights",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([1, 2, 5, 6, 4, 4]);
      const masked = { data: new Uint8Array(5).map((_, i) => Number(i !== 2)), shape: [5, 1] };
      for (const options of [{ mask: masked }, { causal: true, offset: -3 }, { keyLengths: Int32Array.of(0) }]) {
        const result = await hw.attention(query, key, value, { ...options, return: { weights: "probabilities" } });
        expect([...result.output.data].some(Number.isNaN)).to.equal(false);
        const row = (t, width) => [...t.data.slice(2 * width, 3 * width)];
        expect(row(result.output, 4)).to.deep.equal([0, 0, 0, 0]);
        expect(row(result.weights, 6)).to.deep.equal([0, 0, 0, 0, 0, 0]);
      }
    },
  },
  {
    name: "NaN and infinity in masked keys and values reach nothing",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([1, 2, 7, 9, 5, 6]);
      const mask = { data: Uint8Array.from([1, 1, 1, 0, 1, 1, 1, 1, 1]), shape: [9] };
      for (const options of [
        { mask },
        { mask: { data: Float32Array.from(mask.data, (x) => (x ? 0 : -Infinity)), shape: [9] } },
      ]) {
        const clean = await hw.attention(query, key, value, options);
        for (const bad of [NaN, Infinity, -Infinity]) {
          const poison = (t) => {
            const width = t.shape[3];
            const data = t.data.slice();
            for (const h of [0, 1]) data.fill(bad, (h * 9 + 3) * width, (h * 9 + 4) * width);
            return { data, shape: t.shape };
          };
          const { output } = await hw.attention(query, poison(key), poison(value), options);
          output.data.forEach((x, n) => expect(x).to.be.closeTo(clean.output.data[n], 1e-6));
        }
      }
      // Causality hides them too, from the rows before them alone.
      const value5 = { data: value.data.slice().fill(NaN, 5 * 6, 6 * 6), shape: value.shape };
      const { output } = await hw.attention(query, key, value5, { causal: true });
      for (let i = 0; i < 7; ++i) expect(Number.isNaN(output.data[i * 6]), `row ${i}`).to.equal(i >= 5);
    },
  },
  {
    name: "a NaN or infinity in a float mask spoils its own row alone",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([1, 1, 6, 7, 4, 4]);
      for (const bad of [NaN, Infinity]) {
        const mask = { data: new Float32Array(42), shape: [6, 7] };
        mask.data[3 * 7 + 2] = bad;
        const { output } = await hw.attention(query, key, value, { mask });
        for (let i = 0; i < 6; ++i) expect(Number.isNaN(output.data[i * 4]), `row ${i}`).to.equal(i === 3);
      }
    },
  },
  {
    name: "masks of the lowest float, which stand for -Infinity elsewhere, stay finite",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([1, 1, 5, 7, 4, 4]);
      const lowest = { data: new Float32Array(35).fill(-3.4028234663852886e38), shape: [5, 7] };
      const plain = { data: new Float32Array(28), shape: [1, 1, 7, 4] }; // equal scores: the mean of the values
      const { output } = await hw.attention(query, plain, value, { mask: lowest });
      const mean = await hw.attention(query, plain, value);
      output.data.forEach((x, n) => expect(x).to.be.closeTo(mean.output.data[n], 1e-6));
      lowest.data.fill(0, 7, 8); // query 1 may attend to key 0 after all, and to nothing else
      const one = await hw.attention(query, key, value, { mask: lowest });
      expect([...one.output.data.slice(4, 8)]).to.deep.equal([...value.data.slice(0, 4)]);
    },
  },
  {
    name: "views into larger buffers are read where they are",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([1, 2, 5, 6, 4, 3]);
      const within = (array) => {
        const larger = new array.constructor(array.length + 7).fill(array instanceof BigInt64Array ? 0n : 77);
        larger.set(array, 3);
        return larger.subarray(3, 3 + array.length);
      };
      const options = {
        mask: { data: Uint8Array.from({ length: 30 }, (_, n) => n % 4), shape: [5, 6] },
        keyLengths: Int32Array.of(5),
        headGates: Float32Array.of(2, -1),
      };
      const expected = await hw.attention(query, key, value, options);
      const view = ({ data, shape }) => ({ data: within(data), shape });
      const result = await hw.attention(view(query), view(key), view(value), {
        mask: view(options.mask),
        keyLengths: within(options.keyLengths),
        headGates: within(options.headGates),
      });
      expect(result).to.deep.equal(expected);
    },
  },
  {
    name: "tensors with dims, as ONNX Runtime's, are taken, getters included",
    async run({ hw, expect }) {
      const tensors = inputs([1, 2, 5, 6, 4, 3]);
      class Foreign {
        #t;
        constructor(t) {
          this.#t = t;
        }
        get data() {
          return this.#t.data;
        }
        get dims() {
          return this.#t.shape;
        }
      }
      const expected = await hw.attention(...tensors);
      expect(await hw.attention(...tensors.map((t) => new Foreign(t)))).to.deep.equal(expected);
      expect(await hw.attention(...tensors.map(({ data, shape }) => ({ data, dims: shape })))).to.deep.equal(expected);
    },
  },
  {
    name: "inputs are neither changed nor detached, results are the caller's own",
    async run({ hw, expect }) {
      const [query, key, value] = inputs([1, 1, 9, 9, 8, 8]);
      const before = query.data.slice();
      const first = await hw.attention(query, key, value);
      const kept = first.output.data.slice();
      await hw.attention(random([1, 4, 64, 64], 5), random([1, 4, 64, 64], 6), random([1, 4, 64, 64], 7));
      expect(query.data).to.deep.equal(before);
      expect(first.output.data).to.deep.equal(kept);
      expect(first.output.data.byteLength).to.equal(first.output.data.buffer.byteLength);
      expect(first.output.data.buffer).to.be.instanceOf(ArrayBuffer);
    },
  },
  {
    name: "options may be objects of a class with getters; inherited names are checked like others",
    async run({ hw, expect }) {
      const tensors = inputs([1, 2, 5, 6, 4, 3]);
      class Options {
        get causal() {
          return true;
        }
      }
      const expected = await hw.attention(...tensors, { causal: true });
      expect(await hw.attention(...tensors, new Options())).to.deep.equal(expected);
      await expectError(expect, "invalid-option", '"windows"', () =>
        hw.attention(...tensors, Object.create({ windows: 3 })),
      );
      const Memory = globalThis.SharedArrayBuffer ?? ArrayBuffer; // which pages without isolation do not have
      const shared = new Uint8Array(new Memory(6)).fill(1);
      expect((await hw.attention(...tensors, { mask: { data: shared, shape: [6] } })).output.shape).to.deep.equal([
        1, 2, 5, 3,
      ]);
    },
  },
  {
    name: "analyzeHeads measures entropy over the allowed keys and distance in tokens",
    async run({ hw, expect }) {
      const [B, H, L, S] = [2, 3, 7, 9];
      const [query, key, value] = inputs([B, H, L, S, 4, 4]);
      const mask = { data: Uint8Array.from({ length: S }, (_, j) => Number(j !== 4)), shape: [S] };
      for (const options of [
        {},
        { causal: true },
        { mask, keyLengths: Int32Array.of(9, 5) },
        { causal: true, offset: 2, mask },
        { window: { left: 2, right: 1 }, offset: Int32Array.of(3, -2), mask },
      ]) {
        const { weights } = await hw.attention(query, key, value, { ...options, return: { weights: "probabilities" } });
        const statistics = await hw.analyzeHeads(weights, options);
        expect(statistics.length).to.equal(H);
        const bias = reference.biasOf(options.mask);
        for (let h = 0; h < H; ++h) {
          let [entropy, choosing, distance, seeing] = [0, 0, 0, 0];
          for (let b = 0; b < B; ++b)
            for (let i = 0; i < L; ++i) {
              const position = i + (options.offset?.[b] ?? options.offset ?? 0);
              const allowed = Array.from({ length: S }, (_, j) => j).filter(
                (j) => reference.sees(options, b, i, j) && bias(b, h, i, j) === 0,
              );
              const p = (j) => weights.data[((b * H + h) * L + i) * S + j];
              if (allowed.length > 0) {
                distance += allowed.reduce((sum, j) => sum + p(j) * Math.abs(position - j), 0);
                ++seeing;
              }
              if (allowed.length > 1) {
                entropy -= allowed.reduce((sum, j) => sum + p(j) * Math.log(p(j)), 0) / Math.log(allowed.length);
                ++choosing;
              }
            }
          expect(statistics[h].entropy).to.be.closeTo(entropy / choosing, 1e-6);
          expect(statistics[h].distance).to.be.closeTo(distance / seeing, 1e-5);
        }
      }
    },
  },
];
