// The choices of transformers, through the API: shapes and names of what there is, inputs, outputs, files. (That numbers are
// right is shown beside the oracle in tests/cpp, for each choice.)
import { expectError } from "./support.mjs";

const base = { vocabSize: 11, contextLength: 8, layers: 2, embedDim: 8, numHeads: 2, feedForwardDim: 12 };
const rows = (...list) => ({ data: Int32Array.from(list.flat()), shape: [list.length, list[0].length] });
const tokens = rows([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]);
const close = (expect, a, b, what) => {
  expect(a.length, what).to.equal(b.length);
  const apart = a.reduce((most, value, n) => Math.max(most, Math.abs(value - b[n])), 0);
  expect(apart, what).to.be.below(1e-5);
};

/** Published families' combinations. */
const families = {
  bert: {
    ...{ normPlacement: "after", embeddingNorm: true, tokenTypes: 2, activation: "gelu-erf", causal: false },
    ...{ headTransform: true, headBias: true, pooler: "tanh" },
  },
  llama: { norm: "rms", activation: "swiglu", positions: "rotary", rope: { base: 500 }, numKvHeads: 1 },
  gpt_neox: { normPlacement: "parallel", positions: "rotary", rope: { dim: 2 }, tieEmbeddings: false },
  gptj: { normPlacement: "parallel-shared", positions: "rotary", rope: { interleaved: true }, bias: { qkv: false } },
  gemma: {
    ...{ norm: "rms", normPlacement: "both", queryKeyNorm: true, activation: "gelu", gated: true, positions: "rotary" },
    ...{ scale: 0.3, softcap: 5, logitSoftcap: 8, embeddingScale: Math.sqrt(8) },
    layerOptions: [{ window: { left: 1 } }, { rope: { base: 1e6, scaling: { type: "linear", factor: 8 } } }],
  },
  modernbert: {
    ...{ normBias: false, bias: false, embeddingNorm: true, gated: true, causal: false, positions: "rotary" },
    layerOptions: [{ norm1: false }, { window: { left: 1, right: 1 } }],
  },
  smollm: { norm: "rms", positions: "rotary", layerOptions: [{}, { rope: false }] },
  yarn: { positions: "rotary", rope: { scaling: { type: "yarn", factor: 4, originalLength: 4 } } },
  llama3: {
    positions: "rotary",
    rope: {
      scaling: { type: "llama3", factor: 8, originalLength: 16, lowFrequencyFactor: 1, highFrequencyFactor: 4 },
    },
  },
  dynamic: { positions: "rotary", rope: { scaling: { type: "dynamic", factor: 2, originalLength: 4 } } },
};

async function collect(generator) {
  const list = [];
  for await (const token of generator) list.push(token);
  return list;
}

export const transformerChoiceCases = [
  {
    name: "choices: a configuration and a file make the same model again, which learns and is pruned",
    async run({ hw, expect }) {
      for (const [name, options] of Object.entries(families)) {
        const model = await hw.transformer({ ...base, ...options });
        const { logits } = await model.forward(tokens);
        const again = await hw.loadTransformer(await model.save());
        expect(again.config, name).to.deep.equal(model.config);
        expect([...(await again.forward(tokens)).logits.data], name).to.deep.equal([...logits.data]);
        const optimizer = await hw.adamW({ lr: 0.01 });
        const first = await model.trainStep(tokens, tokens, optimizer);
        for (let n = 0; n < 20; ++n) await model.trainStep(tokens, tokens, optimizer);
        expect((await model.evaluate(tokens, tokens)).loss, name).to.be.below(first);
        const pruned = await model.prune({ 0: [1], 1: [0] });
        await (await model.attention(0)).setHeadGates(Float32Array.of(1, 0));
        await (await model.attention(1)).setHeadGates(Float32Array.of(0, 1));
        const [whole, smaller] = [await model.forward(tokens), await pruned.forward(tokens)];
        close(expect, smaller.logits.data, whole.logits.data, name);
        for (const object of [model, again, pruned, optimizer]) await object.dispose();
      }
    },
  },
  {
    name: "choices: generating with a cache takes the tokens that whole forward passes take",
    async run({ hw, expect }) {
      for (const [name, options] of Object.entries(families)) {
        const model = await hw.transformer({ ...base, ...options, causal: true });
        const ids = [3];
        for (let n = 0; n < 7; ++n) {
          const { logits } = await model.forward(Int32Array.from(ids), { logits: "last" });
          expect([...logits.shape], name).to.deep.equal([11]);
          ids.push(logits.data.indexOf(Math.max(...logits.data)));
        }
        const generated = await collect(model.generate([3], { maxTokens: 7, temperature: 0 }));
        expect(generated, name).to.deep.equal(ids.slice(1));
        await model.dispose();
      }
    },
  },
  {
    name: "padding on either side changes nothing for the other tokens; logits of the last ones",
    async run({ hw, expect }) {
      for (const name of ["bert", "llama", "gemma", "dynamic"]) {
        const options = { ...base, ...families[name] };
        const model = await hw.transformer(options);
        const alone = await model.forward(Int32Array.of(1, 2, 3));
        const padded = rows([0, 0, 1, 2, 3], [1, 2, 3, 0, 0]);
        const mask = rows([0, 0, 1, 1, 1], [1, 1, 1, 0, 0]);
        const positions = rows([0, 0, 0, 1, 2], [0, 1, 2, 0, 0]);
        const given = model.config.causal ? { mask } : { mask, positions }; // causal models count by themselves
        const both = await model.forward(padded, given);
        const row = ({ data, shape }, b, from, to) => {
          const [, length, width] = shape;
          return data.slice((b * length + from) * width, (b * length + to) * width);
        };
        for (const result of ["logits", "hidden"]) {
          close(expect, row(both[result], 0, 2, 5), alone[result].data, `${name}, left`);
          close(expect, row(both[result], 1, 0, 3), alone[result].data, `${name}, right`);
        }
        const last = await model.forward(padded, { ...given, logits: "last" });
        close(expect, last.logits.data.slice(0, 11), alone.logits.data.slice(-11), name);
        close(expect, last.logits.data.slice(11), alone.logits.data.slice(-11), name);
        expect((await model.forward(padded, { ...given, logits: "none" })).logits).to.equal(undefined);
        await model.dispose();
      }
    },
  },
  {
    name: "classifiers: pooled rows, logits of classes, targets of sequences, learning",
    async run({ hw, expect }) {
      const model = await hw.transformer({ ...base, pooler: "tanh", labels: 3, causal: false });
      const { logits, pooled, hidden } = await model.forward(tokens);
      expect([logits, pooled, hidden].map(({ shape }) => [...shape])).to.deep.equal([
        [2, 3],
        [2, 8],
        [2, 5, 8],
      ]);
      const targets = Int32Array.of(2, 0);
      const optimizer = await hw.adamW({ lr: 0.05 });
      for (let n = 0; n < 30; ++n) await model.trainStep(tokens, targets, optimizer);
      expect(await model.evaluate(tokens, targets)).to.include({ accuracy: 1, count: 2 });
      await expectError(expect, "invalid-shape", ["targets", "[2]"], () =>
        model.evaluate(tokens, Int32Array.of(0, 1, 2)),
      );
      await model.dispose();
    },
  },
  {
    name: "images: patches in reading order, class and register tokens, an embedding",
    async run({ hw, expect }) {
      const patches = { channels: 1, size: 2, grid: [2, 3], registerTokens: 1 };
      const { vocabSize: _, contextLength: __, ...rest } = base;
      const model = await hw.transformer({
        ...rest,
        patches,
        causal: false,
        layers: 1,
        pooler: "norm",
        projectionDim: 4,
      });
      const parameters = await model.parameters();
      expect([...parameters["positions.weight"].shape]).to.deep.equal([7, 8]);
      const pixels = { data: Float32Array.from({ length: 48 }, (_, n) => Math.sin(n)), shape: [2, 1, 4, 6] };
      const { hidden, embedding, pooled, logits } = await model.forward({ pixels });
      expect(logits).to.equal(undefined);
      expect([hidden, pooled, embedding].map(({ shape }) => [...shape])).to.deep.equal([
        [2, 8, 8],
        [2, 8],
        [2, 4],
      ]);
      // Positions apart, patches that trade places trade rows: the second one is columns 2 and 3 of the first two rows.
      await model.setParameters({ "positions.weight": { data: new Float32Array(56), shape: [7, 8] } });
      const swapped = { data: pixels.data.slice(), shape: pixels.shape };
      for (const at of [0, 1, 6, 7]) [swapped.data[at], swapped.data[at + 2]] = [pixels.data[at + 2], pixels.data[at]];
      const [one, two] = [await model.forward({ pixels }), await model.forward({ pixels: swapped })];
      close(expect, two.hidden.data.slice(16, 24), one.hidden.data.slice(24, 32), "first patch");
      close(expect, two.hidden.data.slice(24, 32), one.hidden.data.slice(16, 24), "second patch");
      const other = { data: new Float32Array(40), shape: [2, 1, 4, 5] };
      await expectError(expect, "invalid-shape", ["pixels"], () => model.forward({ pixels: other }));
      await model.dispose();
    },
  },
  {
    name: "choices that contradict each other are refused",
    async run({ hw, expect }) {
      const refused = (options, message) =>
        expectError(expect, "invalid-option", [message], () => hw.transformer({ ...base, ...options }));
      await refused({ rope: {} }, "rope");
      await refused({ labels: 2, head: true }, "head");
      await refused({ labels: 2, projectionDim: 2 }, "labels, projectionDim");
      await refused({ activation: "swiglu", gated: false }, "gated");
      await refused({ patches: { size: 2, grid: [1, 1] } }, "patches");
      await refused({ normPlacement: "after", layerOptions: [{ norm1: false }, {}] }, "layerOptions[0].norm1");
      await refused(
        { positions: "rotary", rope: { scaling: { type: "yarn", factor: 2 } } },
        "rope.scaling.originalLength",
      );
      await refused({ normPlacement: "elsewhere" }, "normPlacement");
    },
  },
];
