import * as reference from "../reference.mjs";
import { random } from "../reference.mjs";
import { expectClose, expectError, gatesOf, makeModule } from "./support.mjs";

const ownWidths = { embedDim: 12, numHeads: 3, headDim: 5, valueHeadDim: 7, keyDim: 9, valueDim: 11, outputDim: 13 };

export const moduleCases = [
  {
    name: "the module agrees with the reference: widths, biases, self- and cross-attention",
    async run({ hw, expect }) {
      const configs = [
        { embedDim: 16, numHeads: 4 },
        { embedDim: 15, numHeads: 1, bias: "qkv" },
        { embedDim: 60, numHeads: 4, bias: false, scale: 0.4 },
        ownWidths,
      ];
      for (const config of configs) {
        const { mha, parameters } = await makeModule(hw, config);
        const { embedDim, keyDim, valueDim } = mha.config;
        const [query, key, value] = [
          random([2, 17, embedDim], 1),
          random([2, 15, keyDim], 2),
          random([2, 15, valueDim], 3),
        ];
        const calls = { "query, key, value": [query, key, value] };
        if (keyDim === valueDim) calls["query, memory"] = [query, key];
        if (keyDim === embedDim && valueDim === embedDim) calls["query"] = [query];
        for (const [label, args] of Object.entries(calls)) {
          const options = { causal: true, offset: Int32Array.of(1, -2), window: { left: 9 } };
          const result = await mha.forward(...args, { ...options, return: { weights: "probabilities" } });
          const expected = (name) => (round) => {
            const [q, k = q, v = k] = args;
            return reference.multiHeadAttention(mha.config, parameters, q, k, v, options, round)[name];
          };
          expectClose(expect, result.output, expected("output"), `${JSON.stringify(config)} (${label}): output`);
          expectClose(expect, result.weights, expected("weights"), `${JSON.stringify(config)} (${label}): weights`);
        }
        await mha.dispose();
      }
    },
  },
  {
    name: "defaults are filled in, parameters have PyTorch's shapes, biases start at zero",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 12, numHeads: 3 });
      expect(mha.config).to.deep.equal({
        embedDim: 12,
        numHeads: 3,
        numKvHeads: 3,
        headDim: 4,
        valueHeadDim: 4,
        keyDim: 12,
        valueDim: 12,
        outputDim: 12,
        bias: true,
        scale: 0.5,
        softcap: 0,
        alibi: false,
        queryKeyNorm: false,
        normEpsilon: 1e-6,
        seed: 0,
        dtype: "f32",
      });
      expect(mha.numHeads).to.equal(3);
      expect(mha.keptHeads).to.deep.equal([0, 1, 2]);
      expect(mha.parameterCount).to.equal(4 * (144 + 12));
      expect([...(await gatesOf(mha, mha.headGates ? "headwise" : "headwise/worker"))]).to.deep.equal([1, 1, 1]);
      const wide = await hw.multiHeadAttention(ownWidths);
      const shapes = Object.fromEntries(
        Object.entries(await wide.parameters()).map(([name, { shape }]) => [name, shape]),
      );
      expect(shapes).to.deep.equal({
        "q_proj.weight": [15, 12],
        "q_proj.bias": [15],
        "k_proj.weight": [15, 9],
        "k_proj.bias": [15],
        "v_proj.weight": [21, 11],
        "v_proj.bias": [21],
        "out_proj.weight": [13, 21],
        "out_proj.bias": [13],
      });
      for (const [name, { data }] of Object.entries(await wide.parameters())) {
        if (name.endsWith(".bias")) expect(data.every((x) => x === 0)).to.equal(true);
      }
    },
  },
  {
    name: "the same seed gives the same Xavier-uniform weights, another seed others",
    async run({ hw, expect }) {
      const weights = async (seed) =>
        (await (await hw.multiHeadAttention({ embedDim: 64, numHeads: 4, seed })).parameters())["k_proj.weight"].data;
      const [first, again, other] = [await weights(5), await weights(5), await weights(6)];
      expect(first).to.deep.equal(again);
      expect(first).to.not.deep.equal(other);
      const bound = Math.sqrt(6 / 128);
      expect(Math.max(...first.map(Math.abs))).to.be.within(0.99 * bound, bound);
      const variance = first.reduce((sum, x) => sum + x * x, 0) / first.length;
      expect(variance).to.be.closeTo(bound ** 2 / 3, 0.05 * bound ** 2);
    },
  },
  {
    name: "heads: values are before the gate, contributions and the output bias sum to the output",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, ownWidths);
      const args = [random([2, 6, 12], 1), random([2, 8, 9], 2), random([2, 8, 11], 3)];
      const open = await mha.forward(...args, { return: { heads: "values" } });
      expect(open.heads.shape).to.deep.equal([2, 3, 6, 7]);
      await mha.setHeadGates(Float32Array.of(0.5, 0, -2));
      const gated = await mha.forward(...args);
      const values = await mha.forward(...args, { return: { heads: "values", weights: "probabilities" } });
      const { heads, output } = await mha.forward(...args, { return: { heads: "contributions" } });
      expect(values.heads).to.deep.equal(open.heads);
      expect(output.data).to.deep.equal(gated.output.data);
      expect(heads.shape).to.deep.equal([2, 3, 6, 13]);
      for (let b = 0; b < 2; ++b)
        for (let n = 0; n < 6 * 13; ++n) {
          const sum = [0, 1, 2].reduce(
            (total, h) => total + heads.data[(b * 3 + h) * 78 + n],
            parameters["out_proj.bias"].data[n % 13],
          );
          expect(sum).to.be.closeTo(output.data[b * 78 + n], 1e-5);
          expect(values.output.data[b * 78 + n]).to.be.closeTo(output.data[b * 78 + n], 1e-5);
          expect(Math.abs(heads.data[(b * 3 + 1) * 78 + n])).to.equal(0);
        }
    },
  },
  {
    name: "heads that are gated off take no part, wherever they are",
    async run({ hw, expect }) {
      for (const headDim of [8, 5]) {
        const { mha } = await makeModule(hw, { embedDim: 12, numHeads: 6, headDim });
        const x = random([2, 7, 12], 1);
        for (const gates of [
          [0, 1, 1, 0, 0, 1],
          [1, 0, 1, 0, 1, 0],
          [0, 0, 0, 0, 0, 2],
        ]) {
          await mha.setHeadGates(Float32Array.from(gates));
          const { output } = await mha.forward(x, { causal: true });
          const closed = gates.flatMap((gate, h) => (gate === 0 ? [h] : []));
          const pruned = await mha.prune(closed);
          const expected = await pruned.forward(x, { causal: true });
          output.data.forEach((value, n) => expect(value).to.be.closeTo(expected.output.data[n], 2e-6));
          // Asked for their weights or values, they compute these all the same, and the output stays what it is.
          const asked = await mha.forward(x, { causal: true, return: { weights: "probabilities", heads: "values" } });
          expect(asked.weights.data.slice(0, 49).some((p) => p > 0 && p < 1)).to.equal(true);
          asked.output.data.forEach((value, n) => expect(value).to.be.closeTo(output.data[n], 2e-6));
        }
      }
    },
  },
  {
    name: "undefined after the inputs is nothing, before an input it is missing",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const x = random([3, 8], 1);
      const expected = await mha.forward(x, { causal: true });
      expect(await mha.forward(x, undefined, undefined, { causal: true })).to.deep.equal(expected);
      expect(await mha.forward(x, x, undefined, { causal: true })).to.deep.equal(expected);
      expect(await mha.forward(x, { causal: true }, undefined)).to.deep.equal(expected);
      await expectError(expect, "invalid-option", ["key", "undefined"], () => mha.forward(x, undefined, x));
      await expectError(expect, "invalid-option", ["memory", "tensor"], () =>
        mha.forward(x, { causal: true }, { causal: true }),
      );
    },
  },
  {
    name: "analyzeHeads takes the weights as forward returns them",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const { weights } = await mha.forward(random([5, 8], 1), { return: { weights: "probabilities" } });
      expect(weights.shape).to.deep.equal([2, 5, 5]);
      const statistics = await hw.analyzeHeads(weights);
      expect(statistics).to.deep.equal(await hw.analyzeHeads({ data: weights.data, shape: [1, 2, 5, 5] }));
      expect(statistics.length).to.equal(2);
    },
  },
  {
    name: "inputs without the batch axis give results without it",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const x = random([5, 8], 1);
      const options = { return: { weights: "probabilities", heads: "values" } };
      const flat = await mha.forward(x, options);
      const batched = await mha.forward({ data: x.data, shape: [1, 5, 8] }, options);
      for (const name of ["output", "weights", "heads"]) {
        expect(flat[name].data).to.deep.equal(batched[name].data);
        expect([1, ...flat[name].shape]).to.deep.equal(batched[name].shape);
      }
    },
  },
  {
    name: "setParameters replaces some or all, and all or nothing",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { embedDim: 8, numHeads: 2 });
      const bias = { data: new Float32Array(8).fill(3), shape: [8] };
      await mha.setParameters({ "k_proj.bias": bias });
      expect(await mha.parameters()).to.deep.equal({ ...parameters, "k_proj.bias": bias });
      let failed = false;
      try {
        await mha.setParameters({ "q_proj.bias": bias, "v_proj.bias": { data: new Float32Array(7), shape: [7] } });
      } catch {
        failed = true;
      }
      expect(failed).to.equal(true);
      expect(await mha.parameters()).to.deep.equal({ ...parameters, "k_proj.bias": bias });
    },
  },
  {
    name: "a pruned module is smaller and computes what zero gates compute",
    async run({ hw, expect, entry }) {
      const { mha } = await makeModule(hw, { ...ownWidths, numHeads: 4 });
      const args = [random([1, 6, 12], 1), random([1, 8, 9], 2), random([1, 8, 11], 3)];
      await mha.setHeadGates(Float32Array.of(1, 0, 3, 1));
      const gated = await mha.forward(...args);
      await mha.setHeadGates(Float32Array.of(1, 1, 3, 1));
      const pruned = await mha.prune([1]);
      expect(pruned.numHeads).to.equal(3);
      expect(pruned.keptHeads).to.deep.equal([0, 2, 3]);
      expect(pruned.parameterCount).to.be.lessThan(mha.parameterCount);
      expect([...(await gatesOf(pruned, entry))]).to.deep.equal([1, 3, 1]);
      const result = await pruned.forward(...args, { return: { weights: "probabilities" } });
      expect(result.weights.shape).to.deep.equal([1, 3, 6, 8]);
      result.output.data.forEach((x, n) => expect(x).to.be.closeTo(gated.output.data[n], 1e-5));
      const twice = await pruned.prune([0, 2]);
      expect(twice.keptHeads).to.deep.equal([2]);
      await mha.dispose();
      expect((await twice.forward(...args)).output.shape).to.deep.equal([1, 6, 13]);
    },
  },
  {
    name: "without any head the output is the output bias",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { embedDim: 8, numHeads: 2 });
      const none = await mha.prune([1, 0]);
      expect(none.keptHeads).to.deep.equal([]);
      const { output, weights, heads } = await none.forward(random([2, 3, 8], 1), {
        return: { weights: "probabilities", heads: "contributions" },
      });
      expect(weights.shape).to.deep.equal([2, 0, 3, 3]);
      expect(heads.shape).to.deep.equal([2, 0, 3, 8]);
      output.data.forEach((x, n) => expect(x).to.equal(parameters["out_proj.bias"].data[n % 8]));
      await mha.setHeadGates(new Float32Array(2));
      expect((await mha.forward(random([2, 3, 8], 1))).output.data).to.deep.equal(output.data);
    },
  },
];
