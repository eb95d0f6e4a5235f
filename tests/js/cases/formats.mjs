// Number formats of own transformers and modules: files, memory, and everything that works without gradients of weights.
import { readSafetensors, writeSafetensors } from "../../../dist/index.js";
import { random } from "../reference.mjs";
import { batches, makeTransformer, randomIntegers } from "./head_importance.mjs";
import { expectError, gatesOf } from "./support.mjs";

const dtypes = ["f32", "bf16", "int8"];
const kinds = [{}, { norm: "rms", activation: "silu-gated", positions: "rotary", numKvHeads: 2, tieEmbeddings: false }];
const tokens = randomIntegers([2, 7], 0, 10, 5);
const bits = ({ data }) => new Int32Array(data.buffer, data.byteOffset, data.length).join();
const largest = ({ data }) => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const apart = (a, b) => a.data.reduce((most, value, n) => Math.max(most, Math.abs(value - b.data[n])), 0) / largest(b);
const tolerances = { f32: 1e-6, bf16: 0.03, int8: 0.05 };

/** The model in a format, with the logits of its F32 numbers. */
async function inFormat(hw, more, dtype) {
  const whole = await makeTransformer(hw, more);
  const { logits } = await whole.forward(tokens);
  const model = await whole.convert({ dtype });
  await whole.dispose();
  return { model, exact: logits };
}

/** The file of an int8 model, with some of its tensors' bytes or its header changed. */
function changedFile(bytes, change) {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const data = bytes.slice(8 + length);
  const text = JSON.stringify(change(header, data) ?? header);
  const changed = new Uint8Array(8 + text.length + data.length);
  new DataView(changed.buffer).setBigUint64(0, BigInt(text.length), true);
  changed.set(new TextEncoder().encode(text), 8);
  changed.set(data, 8 + text.length);
  return changed;
}

export const formatCases = [
  {
    name: "a transformer saved as I8 comes back as int8 bit for bit, pruned and gated ones too",
    async run({ hw, expect, entry }) {
      for (const more of kinds) {
        const model = await makeTransformer(hw, more);
        const small = await model.prune({ 1: [1] });
        await (
          await small.attention(1)
        ).setHeadGates(Float32Array.of(0.1, -2, 0, 3).subarray(0, small.config.heads[1].length));
        const int8 = await small.convert({ dtype: "int8" });
        const file = await small.save({ dtype: "I8" });
        expect(await int8.save({ dtype: "I8" }), "quantising is deterministic").to.deep.equal(file);
        const { info, names } = readSafetensors(file);
        const matrix = "layers.0.feed_forward.up.weight";
        expect([info(matrix), info(`${matrix}_scale`)]).to.deep.equal([
          { dtype: "I8", shape: [24, 16] },
          { dtype: "F32", shape: [24] },
        ]);
        expect(names.filter((name) => info(name).dtype === "I8")).to.not.include("positions.weight");
        const again = await hw.loadTransformer(file);
        expect(again.config).to.deep.equal(int8.config);
        expect(again.config.dtype).to.equal("int8");
        expect(await again.parameters()).to.deep.equal(await int8.parameters());
        expect(bits((await again.forward(tokens)).logits)).to.equal(bits((await int8.forward(tokens)).logits));
        expect(await again.save({ dtype: "I8" })).to.deep.equal(file);
        const gates = async (of) => gatesOf(await of.attention(1), entry);
        expect(await gates(again)).to.deep.equal(await gates(small));
        for (const each of [model, small, int8, again]) await each.dispose();
      }
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
    alone: true,
  },
  {
    name: "files in I8 whose integers or scales are wrong are refused, and nothing is left over",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const file = await model.save({ dtype: "I8" });
      const live = (await hw.memory()).liveObjects;
      const q = "layers.0.attention.q_proj.weight";
      const scales = `${q}_scale`;
      const renamed = (header, from, to) => {
        header[to] = header[from];
        delete header[from];
      };
      for (const [parts, change] of [
        [[q, scales, "[16]"], (header) => renamed(header, scales, "scales")],
        [[q, scales, "[16]"], (header) => void (header[scales].shape = [4, 4])],
        [
          ["config", "dtype"],
          ({ __metadata__: metadata }) => void (metadata.config = metadata.config.replace("int8", "q8")),
        ],
        [
          ["embedding.weight", "I8"],
          ({ __metadata__: metadata }) => void (metadata.config = metadata.config.replace("int8", "f32")),
        ],
        [[q], (header) => renamed(header, q, "other.weight")],
        [
          [scales, "finite"],
          (header, data) => new DataView(data.buffer).setFloat32(header[scales].data_offsets[0] + 8, NaN, true),
        ],
      ]) {
        await expectError(expect, "invalid-file", parts, () => hw.loadTransformer(changedFile(file, change)));
      }
      const floats = writeSafetensors(await model.parameters(), { metadata: readSafetensors(file).metadata });
      const opened = await hw.loadTransformer(floats); // floats become int8
      expect(await opened.save({ dtype: "I8" })).to.deep.equal(file);
      await opened.dispose();
      expect((await hw.memory()).liveObjects).to.equal(live);
      await model.dispose();
    },
  },
  {
    name: "weights take half of F32's memory in BF16 and at most 0.30 of it in int8",
    async run({ hw, expect }) {
      const shape = { vocabSize: 2500, contextLength: 64, layers: 2, embedDim: 128, numHeads: 4, feedForwardDim: 512 };
      const encoder = { causal: false, head: false, normPlacement: "after", embeddingNorm: true, tokenTypes: 2 };
      for (const more of [{}, encoder, { ...kinds[1], head: true }]) {
        const used = {};
        const first = await hw.transformer({ ...shape, ...more }); // what all share is there from now on
        for (const dtype of dtypes) {
          const before = (await hw.memory()).usedBytes;
          const model = await hw.transformer({ ...shape, ...more, dtype });
          used[dtype] = (await hw.memory()).usedBytes - before;
          if (dtype === "f32") expect(used.f32).to.be.within(4 * model.parameterCount, 4.1 * model.parameterCount);
          await model.dispose();
        }
        await first.dispose();
        expect(used.bf16 / used.f32, "BF16").to.be.within(0.49, 0.53);
        expect(used.int8 / used.f32, "int8").to.be.within(0.24, 0.3);
      }
    },
    alone: true,
  },
  {
    name: "transformers in every format: gates, pruning, captures, edits, importance, evaluation and texts",
    async run({ hw, expect }) {
      for (const more of kinds) {
        for (const dtype of dtypes) {
          const { model, exact } = await inFormat(hw, more, dtype);
          const what = `${dtype} ${JSON.stringify(more)}`;
          const result = await model.forward(tokens, {
            capture: {
              weights: "probabilities",
              heads: "contributions",
              queries: true,
              feedForward: true,
              stream: ["after"],
            },
          });
          expect(apart(result.logits, exact), what).to.be.at.most(tolerances[dtype]);
          const { heads, weights, queries, feedForward, stream } = result.layers[1];
          for (const each of [heads, weights, queries, feedForward, stream.after])
            expect(each.data.every(Number.isFinite) && largest(each) > 0, what).to.equal(true);
          expect(bits((await model.forward(tokens)).logits), `${what}: captures change nothing`).to.equal(
            bits(result.logits),
          );

          const first = await model.attention(0);
          await first.setHeadGates(Float32Array.of(1, 0, 0.5, 1));
          const gated = await model.forward(tokens);
          const pruned = await model.prune({ 0: [1] });
          expect(pruned.config.dtype).to.equal(dtype);
          expect(apart((await pruned.forward(tokens)).logits, gated.logits), `${what}, pruned`).to.be.below(2e-3);
          const edited = await model.forward(tokens, { edits: [{ layer: 0, at: "heads", head: 0, scale: 0 }] });
          expect(bits(edited.logits), `${what}, edited`).to.not.equal(bits(gated.logits));
          await first.setHeadGates(new Float32Array(4).fill(1));

          for (const method of ["gradient", "leave-one-out", "norm", "confidence"]) {
            const importance = await hw.headImportance(model, batches, { method });
            expect(importance.flat().every(Number.isFinite), `${what}, ${method}`).to.equal(true);
          }
          const texts = [];
          for (let n = 0; n < 2; ++n) {
            const text = [];
            for await (const token of model.generate([1, 2, 3], { maxTokens: 9, temperature: 0.8, seed: 4 }))
              text.push(token);
            texts.push(text.join());
          }
          expect(texts[0].split(",").length).to.equal(9);
          expect(texts[1], what).to.equal(texts[0]);
          for (const each of [model, pruned]) await each.dispose();
        }
      }
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
    alone: true,
  },
  {
    name: "training asks for F32, and the model stays as it was",
    async run({ hw, expect }) {
      for (const dtype of ["bf16", "int8"]) {
        const { model } = await inFormat(hw, {}, dtype);
        const before = await model.forward(tokens);
        const optimizer = await hw.adamW({ lr: 0.1 });
        const message = ['dtype "f32"', "convert"];
        await expectError(expect, "unsupported", message, () => model.trainStep(tokens, tokens, optimizer));
        await expectError(expect, "unsupported", message, () => model.accumulateGradients(tokens, tokens));
        await expectError(expect, "unsupported", message, () => model.gradients());
        await expectError(expect, "unsupported", message, () => optimizer.step([model]));
        expect(bits((await model.forward(tokens)).logits)).to.equal(bits(before.logits));
        const mha = await hw.multiHeadAttention({ embedDim: 16, numHeads: 4, dtype });
        const x = random([2, 5, 16], 1);
        await expectError(expect, "unsupported", message, async () => {
          await mha.forward(x, { train: true });
          await mha.backward(x);
        });
        for (const each of [model, optimizer, mha]) await each.dispose();
      }
    },
  },
  {
    name: "modules in every format: the numbers of F32, gates, pruning, caches, heads",
    async run({ hw, expect }) {
      const x = random([2, 7, 24], 1);
      const whole = await hw.multiHeadAttention({ embedDim: 24, numHeads: 4, numKvHeads: 2, seed: 3 });
      const exact = await whole.forward(x, { causal: true });
      for (const dtype of dtypes) {
        const mha = await hw.multiHeadAttention({ ...whole.config, dtype });
        await mha.setParameters(await whole.parameters());
        expect(mha.config.dtype).to.equal(dtype);
        const rounded = await mha.parameters(); // set again, they are the same
        await mha.setParameters(rounded);
        expect(await mha.parameters()).to.deep.equal(rounded);
        const { output, heads } = await mha.forward(x, { causal: true, return: { heads: "contributions" } });
        expect(apart(output, exact.output), dtype).to.be.at.most(tolerances[dtype]);
        expect(heads.shape).to.deep.equal([2, 4, 7, 24]);
        const cache = await mha.cache({ batch: 2, capacity: 7 });
        for (const [begin, end] of [
          [0, 4],
          [4, 5],
          [5, 7],
        ]) {
          const part = { data: new Float32Array(2 * (end - begin) * 24), shape: [2, end - begin, 24] };
          for (const b of [0, 1])
            part.data.set(x.data.subarray((7 * b + begin) * 24, (7 * b + end) * 24), b * (end - begin) * 24);
          const step = await mha.forward(part, { causal: true, cache });
          for (const b of [0, 1]) {
            const rows = { data: output.data.slice((7 * b + begin) * 24, (7 * b + end) * 24) };
            const own = { data: step.output.data.slice(b * (end - begin) * 24, (b + 1) * (end - begin) * 24) };
            expect(apart(own, rows), `${dtype}, cache`).to.be.below(1e-3);
          }
        }
        await mha.setHeadGates(Float32Array.of(0, 1, 1, 2));
        const pruned = await mha.prune([0]);
        const [gated, less] = [await mha.forward(x), await pruned.forward(x)];
        expect(apart(less.output, gated.output), `${dtype}, pruned`).to.be.below(2e-3);
        for (const each of [cache, mha, pruned]) await each.dispose();
      }
      await whole.dispose();
    },
  },
];
