import { compare } from "../reference.mjs";
import {
  batches,
  headCounts,
  lossOf,
  makeTransformer,
  predicted,
  randomIntegers,
  stateOf,
  withGates,
} from "./head_importance.mjs";
import { expectError } from "./support.mjs";

const importance = [
  [0.5, 0.1, 0.2, 0.1],
  [0.3, 0.4, 0.9, 0.05],
];
const ascending = [
  { layer: 1, head: 3 },
  { layer: 0, head: 1 },
  { layer: 0, head: 3 },
  { layer: 0, head: 2 },
  { layer: 1, head: 0 },
  { layer: 1, head: 1 },
  { layer: 0, head: 0 },
  { layer: 1, head: 2 },
];

/** Shuts the gates of heads; they were open. */
async function shut(model, heads) {
  for (const [n, count] of headCounts(model).entries()) {
    const isShut = (h) => heads.some(({ layer, head }) => layer === n && head === h);
    await (await model.attention(n)).setHeadGates(Float32Array.from({ length: count }, (_, h) => (isShut(h) ? 0 : 1)));
  }
}

/** Expects `model` to compute what `whole` computes without the heads `removed`. */
async function expectSameAsShut(expect, model, whole, removed) {
  await shut(whole, removed);
  for (const { tokens } of batches) {
    const [ours, exact] = [(await model.forward(tokens)).logits, (await whole.forward(tokens)).logits];
    expect(ours.shape).to.deep.equal(exact.shape);
    const largest = Math.max(...exact.data.map(Math.abs));
    expect(compare(ours, exact, exact).error).to.be.at.most(1e-5 * largest);
  }
  await shut(whole, []);
}

export const pruneByImportanceCases = [
  {
    name: "pruneByImportance removes the heads that matter least, and gives a model that computes the same as without them",
    once: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw);
      const before = await stateOf(model, entry);
      for (const [count, keepOnePerLayer] of [[0], [3], [6], [6, false], [8, false]]) {
        const result = await hw.pruneByImportance(model, importance, { count, keepOnePerLayer });
        const expected = ascending.slice(0, count);
        if (count === 6 && keepOnePerLayer === undefined) expect(headCounts(result.model)).to.deep.equal([1, 1]);
        expect(result.removed).to.deep.equal(expected);
        expect(result.steps).to.deep.equal(count === 0 ? [] : [{ removed: expected }]);
        const left = [0, 1].map((n) =>
          [0, 1, 2, 3].filter((h) => !expected.some((r) => r.layer === n && r.head === h)),
        );
        expect(result.model.config.heads).to.deep.equal(left);
        await expectSameAsShut(expect, result.model, model, expected);
        expect(result.before).to.have.all.keys("parameters", "bytes", "milliseconds");
        expect(result.before.parameters).to.equal(model.parameterCount);
        expect(result.after.parameters).to.equal(result.model.parameterCount);
        expect(result.before.milliseconds).to.be.greaterThan(0);
        expect(result.after.milliseconds).to.be.greaterThan(0);
        // What it takes is its parameters, and the padding of matrices to whole vectors.
        for (const { parameters, bytes } of [result.before, result.after])
          expect(bytes / (4 * parameters)).to.be.within(1, 3);
        if (count >= 3) expect(result.after.bytes).to.be.lessThan(result.before.bytes);
        await result.model.dispose();
      }
      const half = await hw.pruneByImportance(model, importance, { fraction: 0.5 });
      expect(half.removed).to.deep.equal(ascending.slice(0, 4));
      await half.model.dispose();
      expect(await stateOf(model, entry)).to.deep.equal(before);
      await model.dispose();
    },
  },
  {
    name: "a fraction of the heads is rounded down, but not where only its product is: 0.29 of 100 are 29",
    once: true,
    async run({ hw, expect }) {
      const shape = { vocabSize: 3, contextLength: 2, layers: 5, embedDim: 4, numHeads: 20, headDim: 1 };
      const model = await hw.transformer({ ...shape, feedForwardDim: 0 });
      const values = Array.from({ length: 5 }, (_, n) => Array.from({ length: 20 }, (_, h) => 20 * n + h));
      for (const [fraction, count] of [
        [0.29, 29], // 0.29 * 100 is 28.999999999999996
        [0.57, 57], // 56.99999999999999
        [0.299, 29],
        [0.3, 30],
      ]) {
        const result = await hw.pruneByImportance(model, values, { fraction });
        expect(result.removed, `${fraction}`).to.have.length(count);
        await result.model.dispose();
      }
      await model.dispose();
    },
  },
  {
    name: "pruneByImportance refuses a loss that is not finite, before pruning and after",
    alone: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw);
      const { liveObjects } = await hw.memory();
      const name = "layers.0.attention.q_proj.weight"; // of the heads that go last
      const { [name]: weight } = await model.parameters();
      const broken = { ...weight, data: weight.data.map((x, n) => (n < 16 ? NaN : x)) };
      await model.setParameters({ [name]: broken });
      for (const goal of [{ count: 1 }, { maxLossIncrease: 0.5 }])
        await expectError(expect, "invalid-option", ["model", "loss is NaN"], () =>
          hw.pruneByImportance(model, importance, { ...goal, batches }),
        );
      await model.setParameters({ [name]: weight });
      if (entry === "headwise") {
        const fineTune = (smaller) => {
          const { "norm.weight": norm } = smaller.parameters();
          smaller.setParameters({ "norm.weight": { ...norm, data: norm.data.map(() => NaN) } });
        };
        await expectError(expect, "invalid-option", ["model", "loss is NaN"], () =>
          hw.pruneByImportance(model, importance, { maxLossIncrease: 0.5, batches, fineTune }),
        );
      }
      expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      await model.dispose();
    },
  },
  {
    name: "pruneByImportance keeps a layer's last head, and removes further heads of a pruned model",
    once: true,
    async run({ hw, expect }) {
      const model = await makeTransformer(hw, {
        heads: [
          [2, 3],
          [0, 1, 3],
        ],
      });
      const result = await hw.pruneByImportance(
        model,
        [
          [1, 2],
          [3, 4, 5],
        ],
        { count: 3 },
      );
      expect(result.removed).to.deep.equal([
        { layer: 0, head: 0 },
        { layer: 1, head: 0 },
        { layer: 1, head: 1 },
      ]);
      expect(result.model.config.heads).to.deep.equal([[3], [3]]);
      await expectSameAsShut(expect, result.model, model, result.removed);
      await result.model.dispose();
      await expectError(expect, "invalid-option", ["count", "4", "3"], () =>
        hw.pruneByImportance(
          model,
          [
            [1, 2],
            [3, 4, 5],
          ],
          { count: 4 },
        ),
      );
      await model.dispose();
    },
  },
  {
    name: "pruneByImportance stops before the loss grows too much, and can measure anew after each step",
    once: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw);
      const batches = await predicted(model);
      const loss = (of = model) => lossOf(of, batches);
      const lossBefore = await loss();
      const source = { method: "leave-one-out", batches };
      const maxLossIncrease = 0.05;
      const withoutEach = () =>
        withGates(
          model,
          entry,
          () => 0,
          () => loss(),
        );

      // By hand, with gates: the head whose loss is least goes, of those that are left; as long as it is low enough.
      for (const reestimate of [undefined, 1]) {
        const gone = [];
        let lossAfter = lossBefore;
        const alone = await withoutEach();
        for (;;) {
          const losses = reestimate ? await withoutEach() : alone;
          const left = losses.flatMap((layer, n) => layer.map((value, h) => ({ layer: n, head: h, value })));
          const candidates = left
            .filter(({ layer, head }) => !gone.some((other) => other.layer === layer && other.head === head))
            .filter(({ layer }) => gone.filter((other) => other.layer === layer).length < 3)
            .sort((a, b) => a.value - b.value);
          if (candidates.length === 0) break;
          const [{ layer, head }] = candidates;
          await shut(model, [...gone, { layer, head }]);
          const without = await loss();
          if (!(without <= lossBefore * (1 + maxLossIncrease))) break;
          gone.push({ layer, head });
          lossAfter = without;
        }
        await shut(model, []);
        const result = await hw.pruneByImportance(model, source, { maxLossIncrease, reestimate });
        expect(result.removed, `reestimate ${reestimate}`).to.deep.equal(gone);
        expect(gone.length, "a test that can fail").to.equal(reestimate ? 4 : 2);
        expect(result.before.loss).to.be.closeTo(lossBefore, 1e-6);
        expect(result.after.loss).to.be.closeTo(lossAfter, 1e-5);
        expect(result.steps.map(({ removed }) => removed)).to.deep.equal(gone.map((head) => [head]));
        expect(result.steps.at(-1).loss).to.equal(result.after.loss);
        expect(await loss(result.model)).to.equal(result.after.loss);
        await result.model.dispose();
      }
      await model.dispose();
    },
  },
  {
    name: "pruneByImportance measures what it is asked to: once, or after every two heads; and the random baseline",
    once: true,
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      for (const method of ["gradient", "random"]) {
        const source = { method, batches, normalize: "layer", seed: 5 };
        const measured = await hw.headImportance(model, batches, { method, normalize: "layer", seed: 5 });
        const once = await hw.pruneByImportance(model, source, { count: 4 });
        const given = await hw.pruneByImportance(model, measured, { count: 4, batches });
        expect(once.removed, method).to.deep.equal(given.removed);
        expect(once.steps, method).to.deep.equal(given.steps);

        // Two heads, measured anew, two heads.
        const stepwise = await hw.pruneByImportance(model, source, { count: 4, reestimate: 2 });
        const first = await hw.pruneByImportance(model, measured, { count: 2 });
        const second = await hw.pruneByImportance(first.model, source, { count: 2 });
        expect(stepwise.steps.map(({ removed }) => removed.length)).to.deep.equal([2, 2]);
        expect(stepwise.model.config.heads, method).to.deep.equal(second.model.config.heads);
        expect(await stepwise.model.parameters(), method).to.deep.equal(await second.model.parameters());
        for (const result of [once, given, stepwise, first, second]) await result.model.dispose();
      }
      await model.dispose();
    },
  },
  {
    name: "pruneByImportance fine-tunes after each step",
    once: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw);
      const optimizer = { lr: 0.01, warmupSteps: 2 };
      const onProgress = ({ done, total }) => progress.push({ done, total });
      const progress = [];
      const result = await hw.pruneByImportance(
        model,
        { method: "norm", batches },
        { count: 4, reestimate: 2, fineTune: { optimizer, steps: 5 }, onProgress },
      );
      let byHand = await model.prune({});
      for (const { removed } of result.steps) {
        const importance = await hw.headImportance(byHand, batches, { method: "norm" });
        const { model: smaller } = await hw.pruneByImportance(byHand, importance, { count: removed.length });
        const adamW = await hw.adamW(optimizer);
        for (let n = 0; n < 5; ++n) await smaller.trainStep(batches[n % 2].tokens, batches[n % 2].targets, adamW);
        await adamW.dispose();
        await byHand.dispose();
        byHand = smaller;
      }
      expect(await result.model.parameters()).to.deep.equal(await byHand.parameters());
      expect(result.model.config.heads).to.deep.equal(byHand.config.heads);
      const plain = await hw.pruneByImportance(model, { method: "norm", batches }, { count: 4, reestimate: 2 });
      expect(result.after.loss).to.be.lessThan(plain.after.loss);

      // 6 is what was measured before, four heads, and what is measured after.
      expect(progress.length).to.be.greaterThan(10);
      expect(progress.at(-1)).to.deep.equal({ done: 6, total: 6 });
      for (const [n, { done, total }] of progress.entries()) {
        expect(total).to.equal(6);
        expect(done, `${n}`).to.be.at.least(n === 0 ? 0 : progress[n - 1].done);
      }
      for (const each of [result.model, plain.model, byHand]) await each.dispose();

      const fineTune = (smaller) => {
        const adamW = hw.adamW(optimizer);
        smaller.trainStep(batches[0].tokens, batches[0].targets, adamW);
        adamW.dispose();
      };
      if (entry === "headwise") {
        const own = hw.pruneByImportance(model, importance, { count: 1, fineTune });
        const same = hw.pruneByImportance(model, importance, {
          ...{ count: 1, batches: [batches[0]] },
          fineTune: { optimizer, steps: 1 },
        });
        expect(own.model.parameters()).to.deep.equal(same.model.parameters());
        for (const each of [own.model, same.model]) each.dispose();
      } else {
        await expectError(expect, "invalid-option", ["fineTune", "a function", "worker"], () =>
          hw.pruneByImportance(model, importance, { count: 1, fineTune }),
        );
      }
      await model.dispose();
    },
  },
  {
    name: "pruneByImportance checks its arguments, and what fails leaves nothing behind",
    alone: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw);
      const [before, { liveObjects }] = [await stateOf(model, entry), await hw.memory()];
      const source = { method: "norm", batches };
      const fineTune = { optimizer: { lr: 1 }, steps: 1 };
      const goals = ["fraction", "count", "maxLossIncrease"];
      const errors = [
        ["invalid-option", goals, () => [model, importance, {}]],
        ["invalid-option", goals, () => [model, importance, { count: 1, fraction: 0.1 }]],
        ["invalid-option", ["fraction", "<= 1", "1.5"], () => [model, importance, { fraction: 1.5 }]],
        ["invalid-option", ["fraction", "8", "6"], () => [model, importance, { fraction: 1 }]],
        ["invalid-option", ["count", "9", "8"], () => [model, importance, { count: 9, keepOnePerLayer: false }]],
        ["invalid-option", ["count", "0.5"], () => [model, importance, { count: 0.5 }]],
        ["invalid-option", ["maxLossIncrease", "-1"], () => [model, source, { maxLossIncrease: -1 }]],
        ["invalid-option", ["maxLossIncrease", "batches"], () => [model, importance, { maxLossIncrease: 0.1 }]],
        ["invalid-option", ["reestimate", "method"], () => [model, importance, { count: 1, reestimate: 1 }]],
        ["invalid-option", ["reestimate", "0"], () => [model, source, { count: 1, reestimate: 0 }]],
        ["invalid-option", "keepOnePerLayer", () => [model, importance, { count: 1, keepOnePerLayer: 1 }]],
        ["invalid-option", ["pruneByImportance", '"heads"'], () => [model, importance, { count: 1, heads: 2 }]],
        ["invalid-option", ["importance", "method"], () => [model, 3, { count: 1 }]],
        ["invalid-option", ["importance", '"layers"'], () => [model, { method: "norm", layers: 1 }, { count: 1 }]],
        ["invalid-option", ["importance[0]", "array"], () => [model, [1, 2], { count: 1 }]],
        ["invalid-option", ["importance[1][2]", "NaN"], () => [model, [importance[0], [1, 2, NaN, 3]], { count: 1 }]],
        ["invalid-shape", ["importance", "[4, 4]", "[4]"], () => [model, [importance[0]], { count: 1 }]],
        ["invalid-option", "method", () => [model, { batches }, { count: 1 }]],
        ["invalid-option", ["batches", "at least one"], () => [model, { method: "norm" }, { count: 1 }]],
        ["invalid-option", ["fineTune", "optimizer"], () => [model, source, { count: 1, fineTune: { steps: 1 } }]],
        ["invalid-option", "lrr", () => [model, source, { count: 0, fineTune: { optimizer: { lrr: 1 }, steps: 1 } }]],
        ["invalid-option", "fineTune.steps", () => [model, source, { count: 1, fineTune: { ...fineTune, steps: 0 } }]],
        ["invalid-option", "fineTune.batches", () => [model, importance, { count: 1, fineTune }]],
        ["invalid-option", "lr", () => [model, source, { count: 1, fineTune: { optimizer: { lr: -1 }, steps: 1 } }]],
        [
          "invalid-option",
          "fineTune.batches[0].tokens",
          () => [
            model,
            source,
            { count: 1, fineTune: { ...fineTune, batches: [{ tokens: randomIntegers([2], 11, 12, 1).data }] } },
          ],
        ],
        ["invalid-option", ["model", "transformer"], () => [importance, importance, { count: 1 }]],
      ];
      for (const [code, parts, args] of errors)
        await expectError(expect, code, parts, () => hw.pruneByImportance(...args()));
      const enough = () => {
        throw new Error("enough");
      };
      const calls = [{ onProgress: enough }];
      if (entry === "headwise") calls.push({ fineTune: enough });
      for (const options of calls) {
        let message;
        try {
          await hw.pruneByImportance(model, source, { count: 2, reestimate: 1, ...options });
        } catch (error) {
          message = error.message;
        }
        expect(message).to.equal("enough");
      }
      if (entry === "headwise") {
        await expectError(expect, "invalid-option", "fineTune", () =>
          hw.pruneByImportance(model, importance, { count: 1, fineTune: async () => {} }),
        );
      }
      expect(await stateOf(model, entry)).to.deep.equal(before);
      expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      await model.dispose();
    },
  },
];
