// Steps of an optimizer that are skipped, and modules that come later. transformer_training.mjs has the numbers of a step.
import { random } from "../reference.mjs";
import { targets, tokens } from "./transformer.mjs";

const stepsOf = async (optimizer) => [
  await (optimizer.getSteps?.() ?? optimizer.steps),
  await (optimizer.getSkippedSteps?.() ?? optimizer.skippedSteps),
];

const small = { vocabSize: 11, contextLength: 8, layers: 1, embedDim: 8, numHeads: 2 };

/** Gradients of a module by a loss whose gradient is `scale` times random numbers; Infinity makes all of them NaN or infinite. */
async function accumulate(mha, scale, seed = 1) {
  await mha.zeroGradients();
  await mha.forward(random([1, 3, 8], seed), { train: true });
  const { data, shape } = random([1, 3, 8], seed + 1);
  await mha.backward({ data: data.map((x) => x * scale), shape });
}

export const optimizerCases = [
  {
    name: "a step with a gradient norm that is not finite changes nothing, and says so",
    async run({ hw, expect }) {
      for (const [scale, options] of [
        [NaN, {}],
        [Infinity, {}],
        [Infinity, { clipNorm: 1 }],
        [1e25, {}], // finite, but not its square as float32
      ]) {
        const settings = { lr: 0.1, warmupSteps: 3, ...options };
        const modules = [await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 })];
        modules.push(await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 }));
        const [disturbed, calm] = [await hw.adamW(settings), await hw.adamW(settings)];
        const step = async (optimizer, mha, ...args) => {
          await accumulate(mha, ...args);
          return optimizer.step([mha]);
        };
        const first = await step(disturbed, modules[0], 1);
        expect(first.skipped).to.equal(false);
        expect(await step(calm, modules[1], 1)).to.deep.equal(first);

        const before = await modules[0].parameters();
        const skipped = await step(disturbed, modules[0], scale, 5);
        expect(skipped.skipped, `${scale}`).to.equal(true);
        expect(skipped.gradientNorm > 1e20 || Number.isNaN(skipped.gradientNorm)).to.equal(true);
        expect(await modules[0].parameters()).to.deep.equal(before);
        expect(await stepsOf(disturbed)).to.deep.equal([1, 1]);

        // Afterwards all is as if it had not been: moments, count, and schedule.
        expect(await step(disturbed, modules[0], 1, 9)).to.deep.equal(await step(calm, modules[1], 1, 9));
        expect(await modules[0].parameters()).to.deep.equal(await modules[1].parameters());
        expect(await stepsOf(disturbed)).to.deep.equal([2, 1]);
        expect(await stepsOf(calm)).to.deep.equal([2, 0]);
        for (const object of [...modules, disturbed, calm]) await object.dispose();
      }
    },
  },
  {
    name: "with clipping, a gradient norm beyond what float32 can square is a step like any other",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const optimizer = await hw.adamW({ lr: 0.1, clipNorm: 1 });
      await accumulate(mha, 1e25);
      expect((await optimizer.step([mha])).skipped).to.equal(false);
      for (const { data } of Object.values(await mha.parameters())) expect(data.every(Number.isFinite)).to.equal(true);
      await mha.dispose();
      await optimizer.dispose();
    },
  },
  {
    name: "trainStep skips a step whose gradients are not finite: the optimizer counts it, and the model learns on",
    async run({ hw, expect }) {
      const model = await hw.transformer(small);
      const optimizer = await hw.adamW({ lr: 0.01 });
      const { "norm.weight": norm } = await model.parameters();
      await model.setParameters({ "norm.weight": { ...norm, data: norm.data.map(() => 1e38) } });
      const before = await model.parameters();
      await model.trainStep(tokens, targets, optimizer);
      expect(await model.parameters()).to.deep.equal(before);
      expect(await stepsOf(optimizer)).to.deep.equal([0, 1]);
      await model.setParameters({ "norm.weight": norm });
      const losses = [];
      for (let n = 0; n < 20; ++n) losses.push(await model.trainStep(tokens, targets, optimizer));
      expect(losses.at(-1)).to.be.below(0.9 * losses[0]);
      expect(await stepsOf(optimizer)).to.deep.equal([20, 1]);
      await model.dispose();
      await optimizer.dispose();
    },
  },
  {
    name: "a module's first step with an optimizer moves each number by the learning rate, however late it joins",
    async run({ hw, expect }) {
      const [early, late] = [
        await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 }),
        await hw.multiHeadAttention({ embedDim: 8, numHeads: 2, seed: 1 }),
      ];
      const optimizer = await hw.adamW({ lr: 0.01, weightDecay: 0, eps: 1e-12 });
      for (let n = 0; n < 7; ++n) {
        await accumulate(early, 1, n);
        await optimizer.step([early]);
      }
      await accumulate(late, 1);
      const before = await late.parameters();
      const gradients = await late.gradients();
      await optimizer.step([early, late]);
      // The first step of Adam: mean / root of the mean square is the gradient's sign.
      for (const [name, { data }] of Object.entries(await late.parameters())) {
        data.forEach((value, n) => {
          const gradient = gradients[name].data[n];
          if (Math.abs(gradient) < 1e-6) return;
          expect(value - before[name].data[n], `${name}[${n}]`).to.be.closeTo(-0.01 * Math.sign(gradient), 1e-5);
        });
      }
      for (const object of [early, late, optimizer]) await object.dispose();
    },
  },
];
