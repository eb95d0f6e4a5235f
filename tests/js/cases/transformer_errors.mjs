// Every way in which transformers and optimizers refuse.
import { makeTransformer, randomIntegers } from "./head_importance.mjs";
import { expectError } from "./support.mjs";

const good = { vocabSize: 11, contextLength: 8, layers: 2, embedDim: 16, numHeads: 4 };

const configErrors = [
  // [code, parts of the message, configuration]
  ["invalid-option", ["transformer", "configuration", "undefined"], undefined],
  ["invalid-option", ["transformer", '"widht"'], { ...good, widht: 3 }],
  ...["vocabSize", "contextLength", "layers", "embedDim", "numHeads"].flatMap((name) => [
    ["invalid-option", [name, "undefined"], { ...good, [name]: undefined }],
    ["invalid-option", [name, "0"], { ...good, [name]: 0 }],
    ["invalid-option", [name, "1.5"], { ...good, [name]: 1.5 }],
  ]),
  ["invalid-option", ["layers", "1000", "1001"], { ...good, layers: 1001 }],
  ["invalid-option", ["numHeads", "4096", "5000"], { ...good, numHeads: 5000, headDim: 1 }],
  ["invalid-option", ["numHeads", "embedDim = 16"], { ...good, numHeads: 3 }],
  ["invalid-shape", ["numKvHeads", "3"], { ...good, numKvHeads: 3 }],
  ["invalid-option", ["feedForwardDim", "-1"], { ...good, feedForwardDim: -1 }],
  ["invalid-option", ["norm", '"batch"'], { ...good, norm: "batch" }],
  ["invalid-option", ["activation", '"tanh"'], { ...good, activation: "tanh" }],
  ["invalid-option", ["positions", '"absolute"'], { ...good, positions: "absolute" }],
  ["invalid-option", ["positions", "even", "3"], { ...good, positions: "rotary", headDim: 3 }],
  ["invalid-option", ["normEpsilon", "> 0", "0"], { ...good, normEpsilon: 0 }],
  ["invalid-option", ["normEpsilon", "> 0", "1e-50"], { ...good, normEpsilon: 1e-50 }],
  ["invalid-option", ["normEpsilon", "> 0", '"1e-5"'], { ...good, normEpsilon: "1e-5" }],
  ["invalid-option", ["rope", "rotary"], { ...good, rope: {} }],
  ["invalid-option", ["rope.base", "-1"], { ...good, positions: "rotary", rope: { base: -1 } }],
  ["invalid-option", ["rope.dim", "D = 4", "6"], { ...good, positions: "rotary", rope: { dim: 6 } }],
  ["invalid-option", ["rope", '"theta"'], { ...good, positions: "rotary", rope: { theta: 1 } }],
  ["invalid-option", ["causal", "1"], { ...good, causal: 1 }],
  ["invalid-option", ["tieEmbeddings", '"yes"'], { ...good, tieEmbeddings: "yes" }],
  ["invalid-option", ["dropout", "1"], { ...good, dropout: 1 }],
  ["invalid-option", ["dropout", "NaN"], { ...good, dropout: NaN }],
  ["invalid-option", ["seed", "-1"], { ...good, seed: -1 }],
  ["invalid-option", ["heads", "3"], { ...good, heads: 3 }],
  ["invalid-shape", ["heads", "2", "1"], { ...good, heads: [[0]] }],
  ["invalid-option", ["heads[1]", "4"], { ...good, heads: [[0], [4]] }],
  ["invalid-option", ["heads[0]", "ascend"], { ...good, heads: [[1, 1], []] }],
  ["out-of-memory", ["parameters"], { ...good, vocabSize: 2 ** 31 - 1 }],
  ["out-of-memory", ["parameters"], { ...good, positions: "learned", contextLength: 2 ** 31 - 1 }],
];

const tokens = randomIntegers([2, 4], 0, 10, 1);
const withToken = (at, token) => ({ ...tokens, data: tokens.data.map((x, n) => (n === at ? token : x)) });

const tokenErrors = [
  ["invalid-option", ["tokens", "Int32Array", "undefined"], undefined],
  ["invalid-option", ["tokens", "Int32Array", "a Float32Array"], new Float32Array(3)],
  ["invalid-option", ["tokens.data", "Int32Array", '"12"'], { data: "12", shape: [2] }],
  ["invalid-option", ["tokens.shape", "undefined"], { data: new Int32Array(2) }],
  ["invalid-shape", ["tokens", "[3]", "2"], { data: new Int32Array(2), shape: [3] }],
  ["invalid-shape", ["tokens", "[L] or [B, L]", "[1, 1, 2]"], { data: new Int32Array(2), shape: [1, 1, 2] }],
  ["invalid-shape", ["tokens", "at least one token", "[0]"], new Int32Array(0)],
  ["invalid-shape", ["tokens", "at least one token", "[4, 0]"], { data: new Int32Array(0), shape: [4, 0] }],
  ["invalid-shape", ["tokens", "contextLength = 10", "[11]"], new Int32Array(11)],
  ["invalid-option", ["tokens.data[3]", "0 to 10", "11"], withToken(3, 11)],
  ["invalid-option", ["tokens.data[5]", "0 to 10", "-1"], withToken(5, -1)],
];

const targetErrors = [
  ["invalid-option", ["targets", "Int32Array", "undefined"], undefined],
  ["invalid-option", ["targets.data[2]", "-1 to 10", "-2"], withToken(2, -2)],
  ["invalid-option", ["targets.data[2]", "-1 to 10", "11"], withToken(2, 11)],
  ["invalid-shape", ["targets", "[2, 4]", "[8]"], tokens.data],
  ["invalid-shape", ["targets", "[2, 4]", "[4, 2]"], { ...tokens, shape: [4, 2] }],
];

const optimizerErrors = [
  ["invalid-option", ["lr", "undefined"], {}],
  ["invalid-option", ["lr", "-1"], { lr: -1 }],
  ["invalid-option", ["lr", "Infinity"], { lr: Infinity }],
  ["invalid-option", ["adamW", '"rate"'], { lr: 1, rate: 1 }],
  ["invalid-option", ["betas", "0.9"], { lr: 1, betas: 0.9 }],
  ["invalid-option", ["betas", "1"], { lr: 1, betas: [0.9, 1] }],
  ["invalid-option", ["eps", "0"], { lr: 1, eps: 0 }],
  ["invalid-option", ["weightDecay", "-0.1"], { lr: 1, weightDecay: -0.1 }],
  ["invalid-option", ["clipNorm", "0"], { lr: 1, clipNorm: 0 }],
  ["invalid-option", ["warmupSteps", "0.5"], { lr: 1, warmupSteps: 0.5 }],
  ["invalid-option", ["totalSteps", "5"], { lr: 1, warmupSteps: 5, totalSteps: 5 }],
];

export const transformerErrorCases = [
  {
    name: "transformer: every wrong configuration is refused, with what was expected and given",
    alone: true,
    async run({ hw, expect }) {
      const before = (await hw.memory()).liveObjects;
      for (const [code, parts, config] of configErrors)
        await expectError(expect, code, parts, () => hw.transformer(config));
      expect((await hw.memory()).liveObjects).to.equal(before);
    },
  },
  {
    name: "tokens and targets: types, shapes and ranges, in every method; nothing has changed",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const optimizer = await hw.adamW({ lr: 1 });
      const before = await model.parameters();
      for (const [code, parts, wrong] of tokenErrors) {
        await expectError(expect, code, parts, () => model.forward(wrong));
        await expectError(expect, code, parts, () => model.evaluate(wrong, tokens));
        await expectError(expect, code, parts, () => model.accumulateGradients(wrong, tokens));
        await expectError(expect, code, parts, () => model.trainStep(wrong, tokens, optimizer));
      }
      for (const [code, parts, wrong] of targetErrors) {
        await expectError(expect, code, parts, () => model.evaluate(tokens, wrong));
        await expectError(expect, code, parts, () => model.accumulateGradients(tokens, wrong));
        await expectError(expect, code, parts, () => model.trainStep(tokens, wrong, optimizer));
      }
      expect(await model.parameters()).to.deep.equal(before);
      expect(Object.values(await model.gradients()).every(({ data }) => data.every((x) => x === 0))).to.equal(true);
      await model.dispose();
      await optimizer.dispose();
    },
  },
  {
    name: "capture, generate, prune, attention, parameters and save: wrong arguments are named",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const both = await makeTransformer(hw, { causal: false });
      const refused = (code, parts, call) => expectError(expect, code, parts, call);
      const capture = (value) => () => model.forward(tokens, { capture: value });
      await refused("invalid-option", ["forward", '"captur"'], () => model.forward(tokens, { captur: {} }));
      await refused("invalid-option", ["capture", '"head"'], capture({ head: "values" }));
      await refused("invalid-option", ["capture.weights", "true"], capture({ weights: true }));
      await refused("invalid-option", ["capture.heads", '"sums"'], capture({ heads: "sums" }));
      await refused("invalid-option", ["capture.layers", "2"], capture({ weights: "scores", layers: [2] }));
      await refused("invalid-option", ["capture.layers", "array", "1"], capture({ weights: "scores", layers: 1 }));

      const generate =
        (prompt, options, from = model) =>
        async () => {
          for await (const _ of from.generate(prompt, options));
        };
      await refused("invalid-option", ["causal"], generate([1], { maxTokens: 1 }, both));
      await refused("invalid-option", ["prompt", '"text"'], generate("text", { maxTokens: 1 }));
      await refused("invalid-option", ["prompt[1]", "11"], generate([1, 11], { maxTokens: 1 }));
      await refused("invalid-option", ["prompt[0]", "-1"], generate(Int32Array.of(-1), { maxTokens: 1 }));
      await refused("invalid-shape", ["prompt", "at least one token", "[0]"], generate([], { maxTokens: 1 }));
      await refused("invalid-option", ["maxTokens", "undefined"], generate([1], undefined));
      await refused("invalid-option", ["maxTokens", "-1"], generate([1], { maxTokens: -1 }));
      await refused("invalid-option", ["temperature", "-1"], generate([1], { maxTokens: 1, temperature: -1 }));
      await refused("invalid-option", ["topK", "0"], generate([1], { maxTokens: 1, topK: 0 }));
      await refused("invalid-option", ["seed", "0.5"], generate([1], { maxTokens: 1, seed: 0.5 }));
      await refused("invalid-option", ["generate", '"top"'], generate([1], { maxTokens: 1, top: 1 }));

      await refused("invalid-option", ["prune", "object", "3"], () => model.prune(3));
      await refused("invalid-option", ["prune, layer", "2"], () => model.prune({ 2: [0] }));
      await refused("invalid-option", ["prune, layer", "first"], () => model.prune({ first: [0] }));
      await refused("invalid-option", ["prune, layer", '""'], () => model.prune({ "": [0] }));
      await refused("invalid-option", ["prune, layer", "0.0"], () => model.prune({ "0.0": [0] }));
      await refused("invalid-option", ["prune, layer 1", "4"], () => model.prune({ 1: [4] }));
      await refused("invalid-option", ["prune, layer 0", "twice"], () => model.prune({ 0: [1, 1] }));
      await refused("invalid-option", ["prune, layer 0", "array", "2"], () => model.prune({ 0: 2 }));
      await refused("invalid-option", ["layer", "2"], () => model.attention(2));
      await refused("invalid-option", ["layer", "undefined"], () => model.attention());
      await refused("invalid-option", ["parameters", '"norm.scale"', "norm.weight"], () =>
        model.setParameters({ "norm.scale": { data: new Float32Array(1), shape: [1] } }),
      );
      await refused("invalid-shape", ["norm.weight", "[16]", "[1]"], () =>
        model.setParameters({ "norm.weight": { data: new Float32Array(1), shape: [1] } }),
      );
      await refused("invalid-option", ["dtype", '"F64"'], () => model.save({ dtype: "F64" }));
      await model.dispose();
      await both.dispose();
      for (const call of [
        () => model.forward(tokens),
        () => model.evaluate(tokens, tokens),
        () => model.accumulateGradients(tokens, tokens),
        generate([1], { maxTokens: 1 }),
        () => model.parameters(),
        () => model.gradients(),
        () => model.zeroGradients(),
        () => model.prune({}),
        () => model.save(),
      ])
        await refused("disposed", "transformer", call);
    },
  },
  {
    name: "adamW: settings and modules are checked; a disposed one, or one of another instance, is refused",
    async run({ hw, expect, load }) {
      for (const [code, parts, settings] of optimizerErrors)
        await expectError(expect, code, parts, () => hw.adamW(settings));
      const model = await makeTransformer(hw);
      const optimizer = await hw.adamW({ lr: 0.1 });
      const other = await load({ threads: 1 });
      const theirs = await other.adamW({ lr: 0.1 });
      const refused = (code, parts, call) => expectError(expect, code, parts, call);
      await refused("invalid-option", ["modules", "array"], () => optimizer.step(model));
      await refused("invalid-option", ["modules[0]", "undefined"], () => optimizer.step([undefined]));
      await refused("invalid-option", ["modules[1]", "twice"], () => optimizer.step([model, model]));
      await refused("invalid-option", ["another Headwise instance"], () => theirs.step([model]));
      await refused("invalid-option", ["optimizer"], () => model.trainStep(tokens, tokens));
      await refused("invalid-option", ["optimizer"], () => model.trainStep(tokens, tokens, { steps: 1 }));
      await refused("invalid-option", ["another Headwise instance"], () => model.trainStep(tokens, tokens, theirs));
      await other.dispose();
      const gone = await model.prune({});
      await gone.dispose();
      await refused("disposed", "transformer", () => optimizer.step([gone]));
      await optimizer.dispose();
      await optimizer.dispose();
      await refused("disposed", "optimizer", () => optimizer.step([model]));
      await refused("disposed", "optimizer", () => model.trainStep(tokens, tokens, optimizer));
      await model.dispose();
    },
  },
];
