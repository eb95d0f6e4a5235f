// Transformers: what they compute and give back, beside the reference.
import { random } from "../reference.mjs";
import { measure, transformer } from "../transformer_reference.mjs";
import { makeTransformer, randomIntegers } from "./head_importance.mjs";
import { expectClose, expectError } from "./support.mjs";

/** Every option at least once, over the defaults of `makeTransformer`. */
export const options = [
  {},
  { norm: "rms", activation: "silu-gated", positions: "rotary", numKvHeads: 2, tieEmbeddings: false },
  { activation: "relu", positions: "sinusoidal", embedDim: 15, numHeads: 2, headDim: 5 },
  { positions: "alibi", feedForwardDim: 0, norm: "rms" },
  {
    positions: "rotary",
    rope: { base: 500, dim: 2, interleaved: true },
    normEpsilon: 0.3,
    heads: [
      [0, 1, 3],
      [0, 2],
    ],
  },
  { positions: "none", causal: false, heads: [[], [1, 3]], numKvHeads: 2 },
];
export const tokens = randomIntegers([2, 7], 0, 10, 1);
export const targets = randomIntegers([2, 7], -1, 10, 2);

const flat = ({ data }, row) => data.slice(7 * row, 7 * (row + 1));

async function collect(generator) {
  const list = [];
  for await (const token of generator) list.push(token);
  return list;
}

export const transformerCases = [
  {
    name: "the transformer agrees with the reference: logits, weights, loss and accuracy, with every option",
    async run({ hw, expect }) {
      for (const more of options) {
        const model = await makeTransformer(hw, more);
        const parameters = await model.parameters();
        const result = await model.forward(tokens, { capture: { weights: "probabilities" } });
        const exact = (name) => (round) => transformer(model.config, parameters, tokens, undefined, round)[name];
        expectClose(expect, result.logits, exact("logits"), JSON.stringify(more));
        result.layers.forEach(({ weights }, n) => {
          if (model.config.heads[n].length === 0) return expect([...weights.shape]).to.deep.equal([2, 0, 7, 7]);
          const at = n - model.config.heads.filter((heads, layer) => layer < n && heads.length === 0).length;
          expectClose(expect, weights, (round) => exact("weights")(round)[at], `weights of layer ${n}`);
        });
        const evaluation = await model.evaluate(tokens, targets);
        const { loss, accuracy, count } = measure(
          exact("logits")((x) => x),
          targets.data,
        );
        expect(evaluation.loss).to.be.closeTo(loss, 1e-5);
        expect({ ...evaluation, loss: 0 }).to.deep.equal({ accuracy, count, loss: 0 });
        await model.dispose();
      }
    },
  },
  {
    name: "capture: stages, heads' values and contributions, chosen layers; one sequence has no batch axis",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const both = await model.forward(tokens, { capture: { weights: "masked", heads: "contributions" } });
      const one = await model.forward(flat(tokens, 1), { capture: { heads: "values", layers: [1] } });
      expect([...both.logits.shape]).to.deep.equal([2, 7, 11]);
      expect(both.layers.map(({ weights, heads }) => [[...weights.shape], [...heads.shape]])).to.deep.equal(
        Array(2).fill([
          [2, 4, 7, 7],
          [2, 4, 7, 16],
        ]),
      );
      expect(both.layers[0].weights.data[1]).to.equal(-Infinity);
      expect(one.logits.shape).to.deep.equal([7, 11]);
      expect(one.layers[0]).to.deep.equal({});
      expect(Object.keys(one.layers[1])).to.deep.equal(["heads"]);
      expect([...one.layers[1].heads.shape]).to.deep.equal([4, 7, 4]);
      one.logits.data.forEach((x, n) => expect(both.logits.data[77 + n]).to.be.closeTo(x, 1e-5));
      const plain = await model.forward(tokens);
      expect(plain.layers).to.deep.equal([{}, {}]);
      plain.logits.data.forEach((x, n) => expect(both.logits.data[n]).to.be.closeTo(x, 1e-5));
      await model.dispose();
    },
  },
  {
    name: "a layer's module is live: parameters, gates and gradients are the model's; it goes with the model",
    alone: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw);
      const before = (await hw.memory()).liveObjects;
      const mha = await model.attention(1);
      expect(mha.config).to.deep.include({ embedDim: 16, numHeads: 4, bias: true });
      if (entry === "headwise") expect(model.attention(1)).to.equal(mha);
      const own = await mha.parameters();
      const all = await model.parameters();
      for (const [name, value] of Object.entries(own)) expect(all[`layers.1.attention.${name}`]).to.deep.equal(value);
      const weight = random([16, 16], 9);
      await mha.setParameters({ "k_proj.weight": weight });
      expect((await model.parameters())["layers.1.attention.k_proj.weight"]).to.deep.equal(weight);
      await mha.setHeadGates(Float32Array.of(1, 0, 2, -1));
      const gates = [Array(4).fill(1), [1, 0, 2, -1]];
      const parameters = await model.parameters();
      const { logits } = await model.forward(tokens);
      expectClose(expect, logits, (round) => transformer(model.config, parameters, tokens, gates, round).logits);
      await model.accumulateGradients(tokens, targets);
      const gradients = await model.gradients();
      for (const [name, value] of Object.entries(await mha.gradients()))
        expect(gradients[`layers.1.attention.${name}`]).to.deep.equal(value);
      expect(gradients["layers.1.attention.head_gates"].data.every((x) => x !== 0)).to.equal(true);
      // An optimizer may have the module alone; gates stay.
      const optimizer = await hw.adamW({ lr: 0.1 });
      await optimizer.step([mha]);
      const after = await model.parameters();
      expect(after["layers.0.attention.k_proj.weight"]).to.deep.equal(parameters["layers.0.attention.k_proj.weight"]);
      expect(after["layers.1.attention.k_proj.weight"]).to.not.deep.equal(weight);
      await expectError(expect, "invalid-option", ["modules[0]", "twice"], () => optimizer.step([mha, model]));
      await expectError(expect, "invalid-option", ["modules[1]", "twice"], () => optimizer.step([model, mha]));
      // What a training pass has kept is of no use after a step.
      await mha.forward(random([3, 16], 1), { train: true });
      await optimizer.step([model]);
      await expectError(expect, "invalid-option", "backward", () => mha.backward(random([3, 16], 1)));
      expect((await hw.memory()).liveObjects).to.equal(before + 1);
      if (entry === "headwise") {
        mha.dispose();
        expect(mha.numHeads).to.equal(4);
        expect(mha.headGates).to.deep.equal(Float32Array.of(1, 0, 2, -1));
      }
      const kept = await model.attention(0);
      await model.dispose();
      await expectError(expect, "disposed", "transformer", () => kept.parameters());
      await expectError(expect, "disposed", "transformer", () => model.attention(0));
      await optimizer.dispose();
    },
  },
  {
    name: "a pruned model is the one with gates of 0, at any depth of pruning, and its modules say which heads they have",
    async run({ hw, expect }) {
      for (const more of options.slice(0, 4)) {
        const model = await makeTransformer(hw, { ...more, numHeads: 4, embedDim: 16, headDim: 4 });
        const once = await model.prune({ 0: [2], 1: [0, 3] });
        const twice = await once.prune({ 0: [0, 2] });
        expect(once.config.heads).to.deep.equal([
          [0, 1, 3],
          [1, 2],
        ]);
        expect(twice.config.heads).to.deep.equal([[1], [1, 2]]);
        expect((await twice.attention(0)).keptHeads).to.deep.equal([1]);
        expect(twice.parameterCount).to.be.lessThan(once.parameterCount);
        for (const [layer, gates] of [
          [0, [0, 1, 0, 0]],
          [1, [0, 1, 1, 0]],
        ])
          await (await model.attention(layer)).setHeadGates(Float32Array.from(gates));
        const [whole, pruned] = [await model.forward(tokens), await twice.forward(tokens)];
        whole.logits.data.forEach((x, n) => expect(pruned.logits.data[n]).to.be.closeTo(x, 2e-5));
        const optimizer = await hw.adamW({ lr: 0.01 });
        const loss = await twice.trainStep(tokens, targets, optimizer);
        expect((await twice.evaluate(tokens, targets)).loss).to.be.lessThan(loss);
        const empty = await twice.prune({ 0: [0], 1: [0, 1] });
        expect(empty.config.heads).to.deep.equal([[], []]);
        expect((await empty.forward(tokens, { capture: { weights: "scores" } })).layers[0].weights.shape).to.deep.equal(
          [2, 0, 7, 7],
        );
        for (const object of [model, once, twice, empty, optimizer]) await object.dispose();
      }
    },
  },
  {
    name: "a saved model comes back bit for bit, pruned and gated ones too; halves come back rounded",
    async run({ hw, expect }) {
      for (const more of options) {
        const model = await makeTransformer(hw, more);
        const small = await model.prune({ 1: [1] });
        const gates = Float32Array.of(0.1, -2, 0, 3).subarray(0, small.config.heads[1].length);
        await (await small.attention(1)).setHeadGates(gates);
        const file = await small.save();
        expect(file).to.be.instanceOf(Uint8Array);
        const again = await hw.loadTransformer(file);
        expect(again.config).to.deep.equal(small.config);
        expect(again.parameterCount).to.equal(small.parameterCount);
        expect(await again.parameters()).to.deep.equal(await small.parameters());
        expect(await again.forward(tokens)).to.deep.equal(await small.forward(tokens));
        expect(await again.save()).to.deep.equal(file);
        const half = await small.save({ dtype: "F16" });
        expect(half.length).to.be.lessThan(0.7 * file.length);
        const rounded = await hw.loadTransformer(half.buffer);
        expect((await rounded.evaluate(tokens, targets)).loss).to.be.closeTo(
          (await small.evaluate(tokens, targets)).loss,
          0.02,
        );
        for (const object of [model, small, again, rounded]) await object.dispose();
      }
    },
  },
  {
    name: "generate goes by the logits of a whole forward pass; when the context is full, by its last half",
    async run({ hw, expect }) {
      for (const more of options.slice(0, 4)) {
        const model = await makeTransformer(hw, more); // contextLength 10
        const start = [3, 1, 4];
        const generated = await collect(model.generate(start, { maxTokens: 20, temperature: 0 }));
        expect(generated.length).to.equal(20);
        let context = [...start];
        for (const token of generated) {
          if (context.length > 10) context = context.slice(-5);
          const { logits } = await model.forward(Int32Array.from(context));
          const last = logits.data.subarray(-11);
          expect(last[token]).to.be.closeTo(Math.max(...last), 1e-4);
          context.push(token);
        }
        const long = Int32Array.from({ length: 23 }, (_, n) => n % 11);
        expect(await collect(model.generate(long, { maxTokens: 3, seed: 1 }))).to.deep.equal(
          await collect(model.generate(long.slice(-5), { maxTokens: 3, seed: 1 })),
        );
        await model.dispose();
      }
    },
  },
  {
    name: "generate draws by the softmax: seeds, temperature and topK; it may be left at any token",
    alone: true,
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const draw = (options) => collect(model.generate(Int32Array.of(1, 2), { maxTokens: 12, ...options }));
      expect(await draw({ seed: 7 })).to.deep.equal(await draw({ seed: 7 }));
      expect(await draw({ seed: 7 })).to.not.deep.equal(await draw({ seed: 8 }));
      expect(await draw({ seed: 7, topK: 1 })).to.deep.equal(await draw({ temperature: 0 }));
      expect(await draw({ maxTokens: 0 })).to.deep.equal([]);
      const { logits } = await model.forward(Int32Array.of(1, 2));
      const last = [...logits.data.subarray(-11)];
      const ranked = last.map((_, n) => n).sort((a, b) => last[b] - last[a]);
      const weights = ranked.map((n) => Math.exp((last[n] - last[ranked[0]]) / 1.5));
      const count = new Map();
      const draws = 600;
      for (let seed = 0; seed < draws; ++seed) {
        const [token] = await draw({ maxTokens: 1, topK: 4, temperature: 1.5, seed });
        count.set(token, (count.get(token) ?? 0) + 1);
      }
      const total = weights.slice(0, 4).reduce((sum, w) => sum + w, 0);
      expect([...count.keys()].every((token) => ranked.indexOf(token) < 4)).to.equal(true);
      ranked.slice(0, 4).forEach((token, n) => {
        const share = weights[n] / total;
        const spread = Math.sqrt((share * (1 - share)) / draws);
        expect((count.get(token) ?? 0) / draws).to.be.closeTo(share, 4 * spread + 1e-9);
      });
      const before = (await hw.memory()).liveObjects;
      const generator = model.generate([1], { maxTokens: 100 });
      const first = await generator.next();
      expect(first.done).to.equal(false);
      expect((await hw.memory()).liveObjects).to.be.at.least(before);
      await generator.return();
      expect((await generator.next()).done).to.equal(true);
      expect((await hw.memory()).liveObjects).to.equal(before);
      await model.dispose();
    },
  },
  {
    name: "transformers and optimizers give all their memory back, in any order",
    alone: true,
    async run({ hw, expect }) {
      const cycle = async (optimizerFirst) => {
        const model = await makeTransformer(hw, { norm: "rms" });
        const optimizer = await hw.adamW({ lr: 0.1 });
        await model.trainStep(tokens, targets, optimizer);
        await optimizer.step([await model.attention(0)]);
        const generator = model.generate([1], { maxTokens: 5 });
        await generator.next();
        await generator.return();
        const small = await model.prune({ 0: [0] });
        await small.trainStep(tokens, targets, optimizer);
        for (const object of optimizerFirst ? [optimizer, model, small] : [small, model, optimizer])
          await object.dispose();
        await model.dispose();
      };
      const { liveObjects } = await hw.memory();
      await cycle(true);
      const { usedBytes } = await hw.memory();
      await cycle(false);
      await cycle(true);
      expect(await hw.memory()).to.include({ liveObjects, usedBytes });
    },
  },
];
