// Gradients, beside slopes of the double reference.
import * as reference from "../reference.mjs";
import { product, random } from "../reference.mjs";
import { expectError, expectSlope, makeModule } from "./support.mjs";

const plain = { embedDim: 8, numHeads: 4 };
const other = { ...plain, numHeads: 2, headDim: 3, valueHeadDim: 5, keyDim: 6, valueDim: 7, outputDim: 4 };
const bytes = { data: Uint8Array.of(1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1), shape: [1, 1, 4, 4] };
const floats = {
  data: random([2, 1, 4, 4], 9).data.map((x, n) => (n % 3 === 0 ? -Infinity : x)),
  shape: [2, 1, 4, 4],
};
const ragged = Int32Array.of(4, 2);

/** [configuration, options, gates]: inputs are one, two or three, as the configuration has it. */
const cases = [
  [plain, {}],
  [plain, { causal: true }, [1, 0, -0.5, 2]],
  [plain, { mask: bytes, dropout: 0.4, seed: 77 }],
  [plain, { mask: floats, gradWeights: true }],
  [plain, { keyLengths: ragged, offset: Int32Array.of(1, -2), window: { left: 2, right: 1 } }],
  [
    { ...plain, bias: false, numKvHeads: 2, rope: {} },
    { causal: true, offset: 3 },
  ],
  [
    { ...plain, bias: "qkv", numKvHeads: 1, alibi: true },
    { causal: true, dropout: 0.2, seed: 2 ** 32 - 1 },
  ],
  [{ ...plain, headGroups: [0, 0, 0, 1], softcap: 0.7 }, { gradWeights: true, dropout: 0.3, seed: 0 }, [0, 0, 0, 0]],
  [
    { ...plain, headDim: 6, rope: { dim: 4, interleaved: true, base: 50 } },
    { positions: Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6) },
  ],
  [
    { ...other, keyDim: 6, valueDim: 6 },
    { keyLengths: Int32Array.of(5, 0), gradWeights: true },
  ],
  [other, { causal: true, offset: 1 }],
  [
    { ...other, rope: { dim: 2 }, alibi: true, softcap: 2, scale: 0.9 },
    { dropout: 0.5, seed: 5, window: { left: 3 } },
    [2, -1],
  ],
];

function inputsOf(config) {
  const query = random([2, 4, 8], 1);
  if (config.keyDim === undefined) return [query];
  const key = random([2, 5, config.keyDim], 2);
  return config.valueDim === config.keyDim ? [query, key] : [query, key, random([2, 5, config.valueDim], 3)];
}

const doubles = ({ data, shape }) => ({ data: Float64Array.from(data), shape });

const dot = (a, b) => a.reduce((sum, x, n) => sum + x * b[n], 0);

async function check({ hw, expect }, [config, options, gates], n) {
  const { mha, parameters } = await makeModule(hw, config);
  const headGates = Float32Array.from(gates ?? Array(config.numHeads).fill(1));
  await mha.setHeadGates(headGates);
  const inputs = inputsOf(config);
  const { gradWeights: withWeights, ...asked } = options;
  const { output, weights } = await mha.forward(...inputs, {
    ...asked,
    train: true,
    return: { weights: "probabilities" },
  });
  const gradOutput = random(output.shape, 20 + n);
  const gradWeights = withWeights ? random(weights.shape, 30 + n) : undefined;
  const returned = await mha.backward(gradOutput, { gradWeights });
  const ours = { ...(await mha.gradients()) };
  expect(Object.keys(ours)).to.deep.equal([...Object.keys(parameters), "head_gates"]);
  for (const [name, tensor] of Object.entries(parameters)) expect(ours[name].shape).to.deep.equal(tensor.shape);

  // What the reference computes from, to be moved a little.
  const at = Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, doubles(tensor)]));
  const [query, key = query, value = doubles(inputs.at(-1))] = inputs.map(doubles);
  const gatesNow = Float64Array.from(headGates);
  const { dropout, seed = 0, ...rest } = asked;
  const all = { ...rest, headGates: gatesNow, dropout: dropout && { rate: dropout, seed } };
  const loss = () => {
    const exact = reference.multiHeadAttention(mha.config, at, query, key, value, all);
    return dot(exact.output.data, gradOutput.data) + (gradWeights ? dot(exact.weights.data, gradWeights.data) : 0);
  };
  const expectSlopeOf = (name, tensor, { data }, largest) =>
    expectSlope(expect, tensor, data, loss, `${JSON.stringify([config, asked])}: ${name}`, largest);

  if (inputs.length === 1) {
    // The reference tells self-attention by query and key being one tensor; the value is one of its own all the same.
    const sum = { data: returned.query.data.map((x, at) => x + returned.key.data[at]), shape: returned.query.shape };
    expectSlopeOf("query + key", sum, query);
  } else {
    expectSlopeOf("query", returned.query, query);
    expectSlopeOf("key", returned.key, key);
  }
  expectSlopeOf("value", returned.value, value);
  for (const [name, tensor] of Object.entries(ours)) {
    // Without rotary embedding and cap the keys' bias moves all scores of a row alike: what is left is rounding of sums.
    const still = name === "k_proj.bias" && !config.rope && !config.softcap;
    const largest = still ? Math.max(...ours["k_proj.weight"].data.map(Math.abs)) : 0;
    expectSlopeOf(name, tensor, name === "head_gates" ? { data: gatesNow } : at[name], largest);
  }
  await mha.dispose();
}

const x = random([2, 4, 8], 1);
const g = random([2, 4, 8], 2);

export const trainingCases = [
  {
    name: "memory of a training step grows with the length, not with its square",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const L = 4096;
      const rows = random([1, L, 8], 1);
      await mha.forward(rows, { train: true, causal: true });
      await mha.backward(rows);
      expect((await hw.memory()).usedBytes).to.be.lessThan(L * L); // not a byte for each score of one head
      await mha.dispose();
    },
  },
  {
    name: "gradients are the slopes of the reference",
    async run(context) {
      for (const [n, given] of cases.entries()) await check(context, given, n);
    },
  },
  {
    name: "gradients are zeros at first, accumulate, and are zeroed",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, plain);
      for (const tensor of Object.values(await mha.gradients()))
        expect(Math.max(...tensor.data.map(Math.abs))).to.equal(0);
      await mha.zeroGradients();
      await mha.forward(x, { train: true });
      const first = await mha.backward(g);
      const once = await mha.gradients();
      await mha.forward(x, { train: true });
      await mha.forward(random([1, 3, 8], 4)); // leaves training alone
      expect(await mha.backward(g)).to.deep.equal(first);
      const twice = await mha.gradients();
      for (const [name, { data }] of Object.entries(once)) {
        expect([...twice[name].data], name).to.deep.equal([...data.map((value) => 2 * value)]);
      }
      await mha.zeroGradients();
      await mha.forward(x, { train: true });
      await mha.backward(g);
      expect(await mha.gradients()).to.deep.equal(once);
      const pruned = await mha.prune([1]);
      const none = await pruned.gradients();
      expect(none.head_gates.shape).to.deep.equal([3]);
      for (const { data } of Object.values(none)) expect(data.every((value) => value === 0)).to.equal(true);
      await mha.dispose();
    },
  },
  {
    name: "a train forward returns what a plain one returns; shapes follow the inputs",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, { ...other, numKvHeads: 1 });
      await mha.setHeadGates(Float32Array.of(0, 2));
      const inputs = [random([4, 8], 1), random([5, 6], 2), random([5, 7], 3)];
      for (const heads of ["values", "contributions"]) {
        const asked = { causal: true, offset: 1, return: { weights: "masked", heads } };
        const expected = await mha.forward(...inputs, asked);
        const trained = await mha.forward(...inputs, { ...asked, train: true });
        for (const [name, { data, shape }] of Object.entries(expected)) {
          expect(trained[name].shape).to.deep.equal(shape);
          data.forEach((value, n) => {
            if (value !== -Infinity) expect(trained[name].data[n]).to.be.closeTo(value, 1e-5);
            else expect(trained[name].data[n]).to.equal(value);
          });
        }
      }
      const { query, key, value } = await mha.backward(random([4, 4], 4));
      expect([query.shape, key.shape, value.shape]).to.deep.equal([
        [4, 8],
        [5, 6],
        [5, 7],
      ]);
      await mha.dispose();
    },
  },
  {
    name: "dropout follows its seed, which counts the train forwards where none is given",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, plain);
      const asked = { train: true, dropout: 0.5, return: { weights: "probabilities" } };
      const outputs = [];
      for (let n = 0; n < 3; ++n) outputs.push(await mha.forward(x, asked));
      const plainWeights = await mha.forward(x, { return: { weights: "probabilities" } });
      for (const [n, { output, weights }] of outputs.entries()) {
        expect(output).to.deep.equal((await mha.forward(x, { ...asked, seed: n })).output);
        expect(weights).to.deep.equal(plainWeights.weights); // those before dropout
        expect(output).to.not.deep.equal(outputs[(n + 1) % 3].output);
      }
      await expectError(expect, "invalid-option", "seed", () => mha.forward(x, { ...asked, seed: -1 })); // not counted
      expect((await mha.forward(x, asked)).output).to.deep.equal((await mha.forward(x, { ...asked, seed: 6 })).output);
      // The mean over many seeds is the output without dropout.
      const mean = new Float64Array(64);
      for (let seed = 0; seed < 400; ++seed) {
        (await mha.forward(x, { ...asked, return: {}, seed })).output.data.forEach(
          (value, n) => (mean[n] += value / 400),
        );
      }
      const { output } = await mha.forward(x);
      output.data.forEach((value, n) => expect(mean[n]).to.be.closeTo(value, 0.2));
      for (const rate of [0, 1 - 2 ** -24]) {
        const { output: any } = await mha.forward(x, { train: true, dropout: rate });
        expect(any.data.every(Number.isFinite)).to.equal(true);
      }
      await mha.dispose();
    },
  },
  {
    name: "rows that see nothing, and lengths of 0, have gradients of zero",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, plain);
      const zeros = ({ data }) => expect([...data].every((value) => value === 0)).to.equal(true);
      await mha.forward(x, { train: true, keyLengths: Int32Array.of(0, 0) });
      for (const part of Object.values(await mha.backward(g))) zeros(part);
      const { "out_proj.bias": bias, head_gates: gates, ...rest } = await mha.gradients();
      zeros(gates);
      for (const [name, part] of Object.entries(rest)) if (name !== "out_proj.weight") zeros(part);
      expect(bias.data[0]).to.be.closeTo(
        g.data.reduce((sum, value, n) => sum + (n % 8 === 0 ? value : 0), 0),
        1e-5,
      );
      await mha.zeroGradients();
      const empty = (shape) => ({ data: new Float32Array(product(shape)), shape });
      for (const [query, memory] of [
        [
          [2, 0, 8],
          [2, 3, 8],
        ],
        [
          [2, 3, 8],
          [2, 0, 8],
        ],
        [
          [0, 3, 8],
          [0, 2, 8],
        ],
      ]) {
        await mha.forward(random(query, 1), random(memory, 2), { train: true });
        const parts = await mha.backward(random(query, 3));
        expect([parts.query.shape, parts.key.shape, parts.value.shape]).to.deep.equal([query, memory, memory]);
        for (const part of Object.values(parts)) zeros(part);
      }
      await mha.forward(empty([2 ** 31 - 1, 0, 8]), { train: true });
      expect((await mha.backward(empty([2 ** 31 - 1, 0, 8]))).value.shape).to.deep.equal([2 ** 31 - 1, 0, 8]);
      await mha.dispose();
    },
  },
  {
    name: "padded tokens may hold NaN where nothing asks for their gradients",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, plain);
      const spoiled = { data: x.data.map((value, n) => (n >= 48 ? NaN : value)), shape: x.shape };
      const gradient = { data: g.data.map((value, n) => (n >= 48 ? 0 : value)), shape: g.shape };
      const options = { train: true, keyLengths: Int32Array.of(4, 2) };
      const results = [];
      for (const input of [x, spoiled]) {
        await mha.zeroGradients();
        await mha.forward(input, options);
        results.push([await mha.backward(gradient), await mha.gradients()]);
      }
      expect(results[1]).to.deep.equal(results[0]);
      await mha.dispose();
    },
  },
  {
    name: "what training cannot do is refused, and changes nothing",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, plain);
      const refused = (code, parts, call) => expectError(expect, code, parts, call);
      await refused("invalid-option", ["backward", "train"], () => mha.backward(g));
      await mha.forward(x);
      await refused("invalid-option", ["backward", "train"], () => mha.backward(g));
      await mha.forward(x, { train: true });
      const expected = await mha.backward(g);
      const gradients = await mha.gradients();
      await refused("invalid-option", ["backward", "one"], () => mha.backward(g)); // twice

      await mha.forward(x, { train: true, dropout: 0 });
      const cache = await mha.cache({ batch: 2, capacity: 9 });
      for (const [code, parts, options] of [
        ["invalid-option", ["train", "cache"], { train: true, cache }],
        ["invalid-option", ["train", "true or false", "1"], { train: 1 }],
        ["invalid-option", ["dropout", "train"], { dropout: 0.1 }],
        ["invalid-option", ["seed", "train"], { train: false, seed: 1 }],
        ["invalid-option", ["dropout", "< 1", "1"], { train: true, dropout: 1 }],
        ["invalid-option", ["dropout", "-0.1"], { train: true, dropout: -0.1 }],
        ["invalid-option", ["dropout", "NaN"], { train: true, dropout: NaN }],
        ["invalid-option", ["dropout", "0.5"], { train: true, dropout: "0.5" }],
        ["invalid-option", ["seed", "4294967296"], { train: true, seed: 2 ** 32 }],
        ["invalid-option", ["seed", "1.5"], { train: true, seed: 1.5 }],
        ["invalid-option", ["training"], { training: true }],
        ["invalid-shape", ["keyLengths"], { train: true, keyLengths: Int32Array.of(1) }],
      ]) {
        await refused(code, parts, () => mha.forward(x, options));
      }
      await refused("invalid-shape", ["gradOutput", "[2, 4, 8]", "[2, 4, 9]"], () =>
        mha.backward(random([2, 4, 9], 1)),
      );
      await refused("invalid-shape", ["gradOutput"], () => mha.backward(random([8, 8], 1)));
      await refused("invalid-option", ["gradOutput", "tensor"], () => mha.backward());
      await refused("invalid-shape", ["gradWeights", "[2, 4, 4, 4]"], () => mha.backward(g, { gradWeights: g }));
      await refused("invalid-option", ["gradWeights"], () => mha.backward(g, { gradWeights: 1 }));
      await refused("invalid-option", ["gradients", "gradWeights"], () => mha.backward(g, { gradients: g }));
      await refused("invalid-option", ["backward", "object"], () => mha.backward(g, null));
      await refused("invalid-shape", ["q_proj.weight"], () => mha.setParameters({ "q_proj.weight": g }));
      await refused("invalid-shape", ["gates"], () => mha.setHeadGates(new Float32Array(3)));
      expect(await mha.gradients()).to.deep.equal(gradients);
      expect(await mha.backward(g)).to.deep.equal(expected);

      for (const set of [() => mha.setParameters(parameters), () => mha.setHeadGates(Float32Array.of(1, 1, 1, 1))]) {
        await mha.forward(x, { train: true });
        await set();
        await refused("invalid-option", ["backward", "parameters or gates"], () => mha.backward(g));
      }
      await mha.forward(x, { train: true });
      await mha.dispose();
      for (const call of [() => mha.backward(g), () => mha.gradients(), () => mha.zeroGradients()]) {
        await refused("disposed", "module", call);
      }
    },
  },
  {
    name: "training's memory is kept from step to step, and given back with the module",
    alone: true,
    async run({ hw, expect }) {
      const wide = random([2, 64, 64], 1);
      const make = () => hw.multiHeadAttention({ embedDim: 64, numHeads: 4 });
      const step = async (mha) => {
        await mha.forward(wide, { train: true, causal: true });
        await mha.backward(wide);
      };
      const warm = await make();
      await step(warm);
      await warm.dispose();
      const before = await hw.memory();
      const mha = await make();
      const made = await hw.memory();
      await mha.forward(wide, { train: true, causal: true });
      const tape = (await hw.memory()).usedBytes - made.usedBytes;
      expect(tape).to.be.at.least(5 * 4 * wide.data.length); // the input, queries, keys, values, heads
      await mha.backward(wide);
      const trained = await hw.memory();
      for (let n = 0; n < 20; ++n) await step(mha);
      expect(await hw.memory()).to.deep.equal(trained);
      await mha.dispose();
      expect((await hw.memory()).usedBytes).to.equal(before.usedBytes);
    },
  },
];
