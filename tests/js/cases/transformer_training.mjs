// Transformers: how they learn, beside the reference.
import { adamW, measure, transformer } from "../transformer_reference.mjs";
import { makeTransformer } from "./head_importance.mjs";
import { expectSlope } from "./support.mjs";
import { options, targets, tokens } from "./transformer.mjs";

const doubles = (parameters) =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { data, shape }]) => [name, { data: Float64Array.from(data), shape }]),
  );

export const transformerTrainingCases = [
  {
    name: "gradients are the slopes of the reference's loss, for parameters and gates",
    async run({ hw, expect }) {
      for (const more of options) {
        const model = await makeTransformer(hw, { ...more, layers: 2 });
        const { heads } = model.config;
        const untouched = await model.gradients();
        expect(Object.values(untouched).every(({ data }) => data.every((x) => x === 0))).to.equal(true);
        const exact = doubles(await model.parameters());
        const gates = heads.map(({ length }) => new Float64Array(length).fill(1));
        const lossNow = () => measure(transformer(model.config, exact, tokens, gates).logits, targets.data).loss;
        const loss = await model.accumulateGradients(tokens, targets);
        expect(loss).to.be.closeTo(lossNow(), 1e-5);
        const gradients = await model.gradients();
        expect(Object.keys(gradients)).to.deep.equal(Object.keys(untouched));
        for (const [name, ours] of Object.entries(gradients)) {
          const layer = /^layers\.(\d)\.attention\.head_gates$/.exec(name)?.[1];
          const data = layer === undefined ? exact[name].data : gates[layer];
          expectSlope(expect, ours, data, lossNow, name);
        }
        await model.accumulateGradients(tokens, targets);
        const twice = await model.gradients();
        const name = "layers.1.attention.v_proj.weight";
        expect([...twice[name].data], "accumulated").to.deep.equal([...gradients[name].data.map((x) => 2 * x)]);
        await model.zeroGradients();
        expect((await model.gradients())[name].data.every((x) => x === 0)).to.equal(true);
        await model.dispose();
      }
    },
  },
  {
    name: "training steps are those of AdamW in double precision: warm-up, cosine, clipping, decay",
    async run({ hw, expect }) {
      for (const settings of [
        { lr: 0.01 },
        { lr: 0.02, betas: [0.8, 0.95], eps: 1e-6, weightDecay: 0.3, clipNorm: 0.2, warmupSteps: 2, totalSteps: 4 },
      ]) {
        const model = await hw.transformer({ vocabSize: 11, contextLength: 8, layers: 1, embedDim: 8, numHeads: 2 });
        const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
        const optimizer = await hw.adamW(settings);
        const step = adamW(settings);
        const expected = doubles({ ...(await model.parameters()), ...(await mha.parameters()) });
        for (let n = 0; n < 6; ++n) {
          await model.zeroGradients();
          await model.accumulateGradients(tokens, targets);
          const result = await optimizer.step([model, mha]);
          const exact = step(expected, { ...(await model.gradients()), ...(await mha.gradients()) });
          expect(result.gradientNorm).to.be.closeTo(exact.gradientNorm, 1e-5 * exact.gradientNorm);
          expect(result.learningRate).to.equal(exact.learningRate);
          for (const [name, { data }] of Object.entries({
            ...(await model.parameters()),
            ...(await mha.parameters()),
          })) {
            // eps hardly damps the smallest gradients, whose signs are rounding's: keep to the exact ones.
            const error = data.reduce((most, x, at) => Math.max(most, Math.abs(x - expected[name].data[at])), 0);
            expect(error, `${name}, step ${n}`).to.be.at.most(2e-5);
          }
        }
        expect(await (optimizer.getSteps?.() ?? optimizer.steps)).to.equal(6);
        for (const object of [model, mha, optimizer]) await object.dispose();
      }
    },
  },
  {
    name: "trainStep zeroes, accumulates and steps; it learns; the same seed gives the same bits, another others",
    async run({ hw, expect }) {
      const learn = async (seed, steps) => {
        const model = await hw.transformer({
          vocabSize: 11,
          contextLength: 8,
          layers: 2,
          embedDim: 16,
          numHeads: 2,
          dropout: 0.1,
          seed,
        });
        const optimizer = await hw.adamW({ lr: 0.01 });
        const losses = [];
        for (let n = 0; n < steps; ++n) losses.push(await model.trainStep(tokens, targets, optimizer));
        const parameters = await model.parameters();
        await model.dispose();
        await optimizer.dispose();
        return { losses, parameters };
      };
      const first = await learn(5, 60);
      expect(first.losses[0]).to.be.closeTo(Math.log(11), 0.2);
      expect(first.losses.at(-1)).to.be.lessThan(0.5);
      expect(await learn(5, 60)).to.deep.equal(first);
      expect((await learn(6, 1)).losses[0]).to.not.equal(first.losses[0]);

      const [one, other] = [await makeTransformer(hw), await makeTransformer(hw)];
      const [a, b] = [await hw.adamW({ lr: 0.1 }), await hw.adamW({ lr: 0.1 })];
      await one.accumulateGradients(targets.data.map((x) => Math.max(x, 0)).slice(0, 8), tokens.data.slice(0, 8));
      for (let n = 0; n < 2; ++n) {
        const loss = await one.trainStep(tokens, targets, a);
        await other.zeroGradients();
        expect(await other.accumulateGradients(tokens, targets)).to.equal(loss);
        await b.step([other]);
      }
      expect(await one.parameters()).to.deep.equal(await other.parameters());
      expect(await one.gradients()).to.deep.equal(await other.gradients());
      for (const object of [one, other, a, b]) await object.dispose();
    },
  },
  {
    name: "a module that joins an optimizer later moves as it would with one of its own",
    async run({ hw, expect }) {
      const models = [await makeTransformer(hw), await makeTransformer(hw), await makeTransformer(hw)];
      const [first, late, own] = models;
      const [shared, fresh] = [await hw.adamW({ lr: 0.1 }), await hw.adamW({ lr: 0.1 })];
      for (let n = 0; n < 20; ++n) await first.trainStep(tokens, targets, shared);
      const pruned = await first.prune({ 0: [1] });
      for (let n = 0; n < 2; ++n) {
        await late.trainStep(tokens, targets, shared);
        await own.trainStep(tokens, targets, fresh);
      }
      expect(await late.parameters()).to.deep.equal(await own.parameters());
      const before = (await pruned.parameters())["norm.weight"].data;
      await pruned.trainStep(tokens, targets, shared);
      const after = (await pruned.parameters())["norm.weight"].data;
      for (const [n, value] of after.entries()) expect(Math.abs(value - before[n])).to.be.lessThan(0.101); // lr
      for (const object of [...models, pruned, shared, fresh]) await object.dispose();
    },
  },
  {
    name: "without a target that counts, loss and gradients are 0 and a step changes nothing but by decay",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const optimizer = await hw.adamW({ lr: 0.1, weightDecay: 0 });
      const before = await model.parameters();
      const none = { ...targets, data: targets.data.map(() => -1) };
      expect(await model.evaluate(tokens, none)).to.deep.equal({ loss: 0, accuracy: 0, count: 0 });
      expect(await model.trainStep(tokens, none, optimizer)).to.equal(0);
      expect(await model.parameters()).to.deep.equal(before);
      await model.dispose();
      await optimizer.dispose();
    },
  },
];
