// What the fuzzers of tests/fuzz have found.
import { random } from "../reference.mjs";
import { expectError } from "./support.mjs";

const flat = random([3, 4], 1);
const empty = (shape) => ({ data: new Float32Array(0), shape });

/** Takes an array's memory away. */
const detach = (array) => structuredClone(array.buffer, { transfer: [array.buffer] });

/** Expects a call to answer soon. */
async function expectSoon(expect, call) {
  const start = performance.now();
  const result = await call();
  expect(performance.now() - start).to.be.below(1000);
  return result;
}

export const hostileCases = [
  {
    name: "a gate of 0 gives zeros, whether or not weights are asked for, and whatever the head sees",
    async run({ hw, expect }) {
      const query = { data: Float32Array.of(NaN, 1, 1, 1), shape: [1, 1, 2, 2] };
      const options = { headGates: Float32Array.of(0) };
      const alone = await hw.attention(query, query, query, options);
      const { output } = await hw.attention(query, query, query, { ...options, return: { weights: "probabilities" } });
      expect([...alone.output.data]).to.deep.equal([0, 0, 0, 0]);
      expect([...output.data].every((x) => x === 0)).to.equal(true);
    },
  },
  {
    name: "empty tensors with extents beyond all measure are dealt with at once",
    async run({ hw, expect }) {
      const most = 2 ** 31 - 1;
      const t = empty([most, 1, 0, 4]);
      for (const options of [{}, { offset: 1 }, { return: { present: true, weights: "scores" } }]) {
        const { output } = await expectSoon(expect, () => hw.attention(t, t, t, options));
        expect(output.shape).to.deep.equal([most, 1, 0, 4]);
      }
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2, rope: {} });
      const asked = { return: { heads: "contributions", weights: "scores" } };
      const { heads } = await expectSoon(expect, () => mha.forward(empty([most, 0, 4]), asked));
      expect(heads.shape).to.deep.equal([most, 2, 0, 4]);
      await mha.dispose();
      for (const extent of [2 ** 31, 2 ** 53]) {
        const beyond = empty([extent, 1, 0, 4]);
        await expectError(expect, "invalid-shape", ["query", String(most), String(extent)], () =>
          hw.attention(beyond, beyond, beyond),
        );
      }
    },
  },
  {
    name: "shapes may be of any kind and length, and are refused at once",
    async run({ hw, expect, entry }) {
      const rotate = (shape) => hw.rotaryEmbedding({ data: new Float32Array(4), shape });
      const sparse = new Array(2 ** 32 - 1);
      await expectSoon(expect, () => expectError(expect, "invalid-shape", "4294967295", () => rotate(sparse)));
      if (entry === "headwise")
        await expectError(expect, "invalid-option", ["x.shape", "integers"], () => rotate([2 ** 40, sparse]));
      const view = new DataView(new ArrayBuffer(4));
      await expectError(expect, "invalid-option", ["x.shape", "an array"], () => rotate(view));
      const gone = new Float32Array(3);
      detach(gone);
      await expectError(expect, "invalid-shape", ["x", "[]"], () => rotate(gone));
    },
  },
  {
    name: "what is no typed array is none, whatever it says",
    async run({ hw, expect }) {
      const liar = { [Symbol.toStringTag]: "Float32Array", length: 12, byteLength: 48 };
      await expectError(expect, "invalid-option", ["query.data", "Object"], () =>
        hw.attention({ data: liar, shape: [3, 4] }, flat, flat),
      );
      await expectError(expect, "invalid-option", ["headGates", "Object"], () =>
        hw.attention(flat, flat, flat, { headGates: liar }),
      );
    },
  },
  {
    name: "options and tensors are read once, so that getters cannot change their mind",
    async run({ hw, expect }) {
      const changing = (...values) => ({ get: () => values.shift(), enumerable: true });
      const options = Object.defineProperties({}, { scale: changing(0.5, "1"), causal: changing(true, 3) });
      const expected = await hw.attention(flat, flat, flat, { scale: 0.5, causal: true });
      expect(await hw.attention(flat, flat, flat, options)).to.deep.equal(expected);
      const mask = Object.defineProperties({}, { data: changing(new Uint8Array(9), {}), shape: changing([3, 3], [9]) });
      const { output } = await hw.attention(flat, flat, flat, { mask });
      expect([...output.data]).to.deep.equal(Array(12).fill(0));
    },
  },
  {
    name: "inputs whose memory goes while options are read are refused",
    async run({ hw, expect, entry }) {
      if (entry !== "headwise") return; // the worker's inputs are copies by then
      const calls = [
        (x, options) => hw.rotaryEmbedding(x, options),
        (x, options) => hw.attention(x, x, x, options),
        (x, options) => hw.analyzeHeads(x, options),
      ];
      for (const call of calls) {
        const x = random([1, 2, 3, 4], 1);
        const options = {
          get [call === calls[0] ? "base" : "causal"]() {
            return void detach(x.data);
          },
        };
        await expectError(expect, "invalid-shape", ["24 elements", "0"], () => call(x, options));
      }
    },
  },
  {
    name: "modules and caches cannot be told other sizes than they have",
    async run({ hw, expect, entry }) {
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      const cache = await mha.cache({ batch: 1, capacity: 2 });
      if (entry === "headwise") {
        expect(() => (cache.capacity = 1000)).to.throw(TypeError);
        expect(() => (mha.config = { ...mha.config, outputDim: 1000 })).to.throw(TypeError);
      }
      await expectError(expect, "invalid-option", ["capacity of 2"], () => mha.forward(flat, { cache }));
      await mha.dispose();
    },
  },
];
