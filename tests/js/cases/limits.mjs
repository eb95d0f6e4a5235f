// The ends of what numbers and shapes can be: the largest scores, the last positions, no batch rows, many heads.
import { random } from "../reference.mjs";
import { makeTransformer } from "./head_importance.mjs";
import { expectError, makeModule } from "./support.mjs";

const empty = (...shape) => ({ data: new Float32Array(0), shape });
const column = (...values) => ({ data: Float32Array.from(values), shape: [values.length, 1] });

export const limitCases = [
  {
    name: "scores up to the largest float have weights; finite masks come back as they are",
    async run({ hw, expect }) {
      for (const queries of [1, 9]) {
        const query = column(...Array(queries).fill(3e38));
        const key = column(1, 0.5);
        const weights = async (stage, options) =>
          (await hw.attention(query, key, key, { scale: 1, ...options, return: { weights: stage } })).weights.data;
        const all = await weights("probabilities");
        expect([...all]).to.deep.equal(Array(queries).fill([1, 0]).flat());
        const mask = { data: Float32Array.of(-3.4028234663852886e38, -3e38), shape: [2] };
        const zero = { ...query, data: query.data.map(() => 0) };
        const masked = await hw.attention(zero, key, key, { mask, return: { weights: "masked" } });
        expect([...masked.weights.data]).to.deep.equal(
          Array(queries)
            .fill([...mask.data])
            .flat(),
        );
        const lowest = await hw.attention(zero, key, key, { mask, return: { weights: "probabilities" } });
        expect([...lowest.weights.data]).to.deep.equal(Array(queries).fill([0, 1]).flat());
      }
    },
  },
  {
    name: "rotary positions count on beyond 2^31",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { embedDim: 2, numHeads: 1, rope: {}, bias: false });
      const x = { data: Float32Array.of(1, 2, 1, 2), shape: [2, 2] };
      const scores = async (options) =>
        (await mha.forward(x, { ...options, return: { weights: "scores" } })).weights.data;
      // Only distances count: queries at 2^31 - 1 and 2^31, keys at 0 and 1.
      const found = await scores({ offset: 2 ** 31 - 1 });
      const project = (name) => {
        const [a, b, c, d] = parameters[`${name}.weight`].data;
        return [a + 2 * b, c + 2 * d];
      };
      const [q, k] = [project("q_proj"), project("k_proj")];
      for (const [i, j] of [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ]) {
        const angle = 2 ** 31 - 1 + i - j;
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
        const rotated = [cos * q[0] - sin * q[1], sin * q[0] + cos * q[1]];
        expect(found[2 * i + j]).to.be.closeTo((rotated[0] * k[0] + rotated[1] * k[1]) / Math.SQRT2, 1e-5);
      }
      await mha.dispose();
    },
  },
  {
    name: "no batch rows: results and gradients without elements",
    async run({ hw, expect }) {
      const t = empty(0, 2, 3, 4);
      const asked = { return: { weights: "probabilities", present: true } };
      const past = { key: empty(0, 2, 5, 4), value: empty(0, 2, 5, 4) };
      const mask = { data: new Uint8Array(0), shape: [0, 1, 3, 8] };
      const options = { past, mask, causal: true, offset: new Int32Array(0), keyLengths: new Int32Array(0), ...asked };
      expect(await hw.attention(t, t, t, options)).to.deep.equal({
        output: t,
        weights: empty(0, 2, 3, 8),
        present: { key: empty(0, 2, 8, 4), value: empty(0, 2, 8, 4) },
      });
      const rank3 = await hw.attention(empty(0, 9, 8), empty(0, 7, 8), empty(0, 7, 4), { numHeads: 2 });
      expect(rank3.output).to.deep.equal(empty(0, 9, 4));
      expect(await hw.rotaryEmbedding(t)).to.deep.equal(t);
      for (const shape of [
        [0, 2, 3, 4],
        [1, 2, 0, 4],
        [2 ** 31 - 1, 2, 2 ** 31 - 1, 0],
      ]) {
        const statistics = await hw.analyzeHeads(empty(...shape));
        expect(statistics.map((ofHead) => Object.values(ofHead))).to.deep.equal(Array(2).fill(Array(7).fill(0)));
      }
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2, rope: {} });
      const x = empty(0, 3, 4);
      expect((await mha.forward(x, { train: true })).output).to.deep.equal(x);
      expect(await mha.backward(x)).to.deep.equal({ query: x, key: x, value: x });
      for (const { data } of Object.values(await mha.gradients()))
        expect([...data].every((g) => g === 0)).to.equal(true);
      const crossed = await mha.forward(x, empty(0, 5, 4), { train: true });
      expect(crossed.output).to.deep.equal(x);
      expect((await mha.backward(x)).key).to.deep.equal(empty(0, 5, 4));
      await mha.dispose();
      const model = await makeTransformer(hw);
      const tokens = { data: new Int32Array(0), shape: [0, 4] };
      const { logits } = await model.forward(tokens, { capture: { weights: "scores" } });
      expect([...logits.shape]).to.deep.equal([0, 4, 11]);
      expect(await model.evaluate(tokens, tokens)).to.deep.equal({ loss: 0, accuracy: 0, count: 0 });
      expect(await model.accumulateGradients(tokens, tokens)).to.equal(0);
      await model.dispose();
    },
  },
  {
    name: "100,000 heads take no longer than their memory does",
    async run({ hw, expect }) {
      const start = performance.now();
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 100_000, headDim: 1 });
      const pruned = await mha.prune([3]);
      expect(pruned.config.numKvHeads).to.equal(99_999);
      await pruned.forward(random([1, 4], 1));
      await mha.dispose();
      await pruned.dispose();
      expect(performance.now() - start, "milliseconds").to.be.lessThan(4000); // quadratic, it took 11 s and more
    },
  },
  {
    name: "the memory of generate grows with the text, not with the context that there could be",
    alone: true,
    async run({ hw, expect }) {
      const more = { contextLength: 2 ** 20, positions: "none", layers: 1 };
      const model = await makeTransformer(hw, more);
      const before = (await hw.memory()).usedBytes;
      const generator = model.generate([1, 2], { maxTokens: 100 });
      for (let n = 0; n < 40; ++n) await generator.next();
      expect((await hw.memory()).usedBytes - before, "bytes").to.be.within(1, 100_000);
      await generator.return();
      await model.dispose();
    },
  },
  {
    name: "what calls keep is given back with the last object",
    alone: true,
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 64, numHeads: 4 });
      const other = await hw.multiHeadAttention({ embedDim: 4, numHeads: 1 });
      await mha.forward(random([4, 300, 64], 1));
      await mha.dispose();
      expect((await hw.memory()).usedBytes).to.be.greaterThan(100_000);
      await other.dispose();
      expect(await hw.memory()).to.include({ usedBytes: 0, liveObjects: 0 });
    },
  },
  {
    name: "numbers of the core must be in their range as float32 too, numbers that only TypeScript uses need not",
    once: true,
    async run({ hw, expect }) {
      const refused = (name, call) => expectError(expect, "invalid-option", [name, "a finite float32 number"], call);
      const [tiny, huge, almost1] = [1e-46, 1e39, 1 - 2 ** -53]; // as float32: 0, Infinity, 1
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      const x = random([3, 4], 1);
      const make = (config) => hw.multiHeadAttention({ embedDim: 4, numHeads: 2, ...config });
      await refused("dropout", () => mha.forward(x, { train: true, dropout: almost1 }));
      await refused("rope.base", () => make({ rope: { base: tiny } }));
      await refused("normEpsilon", () => make({ queryKeyNorm: true, normEpsilon: tiny }));
      await refused("softcap", () => make({ softcap: huge }));
      await refused("scale", () => hw.attention(x, x, x, { scale: -1e-60 }));
      for (const option of [{ lr: huge }, { eps: tiny }, { weightDecay: huge }, { betas: [0.9, almost1] }])
        await refused(Object.keys(option)[0], () => hw.adamW({ lr: 1, ...option }));
      await mha.dispose();

      const optimizer = await hw.adamW({ lr: 0, clipNorm: huge });
      await optimizer.dispose();
      const model = await makeTransformer(hw);
      for (const options of [{ temperature: tiny }, { temperature: huge }, { topP: tiny }])
        for await (const token of model.generate([1], { maxTokens: 2, ...options })) expect(token).to.be.a("number");
      const tokens = Int32Array.of(1, 2, 3);
      const batches = [{ tokens, targets: tokens }];
      const pruned = await hw.pruneByImportance(
        model,
        { method: "random", batches },
        { maxLossIncrease: Number.MAX_VALUE },
      );
      for (const heads of pruned.model.config.heads) expect(heads.length).to.equal(1); // keepOnePerLayer
      await pruned.model.dispose();
      await model.dispose();
    },
  },
  {
    name: "generate refuses logits that are not numbers",
    async run({ hw, expect }) {
      for (const temperature of [0, 1]) {
        for (const bad of [NaN, Infinity]) {
          const model = await makeTransformer(hw);
          const { data, shape } = (await model.parameters())["norm.bias"];
          await model.setParameters({ "norm.bias": { data: data.map(() => bad), shape } });
          await expectError(expect, "invalid-option", ["generate", "NaN"], async () => {
            for await (const _ of model.generate([1], { maxTokens: 2, temperature }));
          });
          await model.dispose();
        }
      }
    },
  },
];
