// Number formats of opened models' matrices.
import { readSafetensors, writeSafetensors } from "../../../dist/index.js";
import { openGolden } from "../goldens.mjs";
import { difference, integers } from "./goldens.mjs";
import { changed, expectError } from "./support.mjs";

const bits = ({ data }) => new Int32Array(data.buffer, data.byteOffset, data.length).join();
const largest = ({ data }) => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A family's golden model, opened with a number format, and an input. */
async function opened(hw, name, options, files) {
  const golden = await openGolden(name);
  const model = await hw.openModel(files ?? golden.folder, { tower: name === "clip" ? "text" : undefined, ...options });
  const { inputs } = Object.values(golden.cases)[0];
  const images = inputs.pixel_values && name !== "clip";
  return { model, input: images ? { pixels: inputs.pixel_values } : integers(inputs.input_ids) };
}

/** The same file in BF16. */
async function inBf16(name) {
  const files = await changed(name, { tensors: (tensors) => tensors });
  const { names, tensor } = readSafetensors(files["model.safetensors"]);
  const tensors = Object.fromEntries(names.map((each) => [each, tensor(each)]));
  return { ...files, "model.safetensors": writeSafetensors(tensors, { dtype: "BF16" }) };
}

export const formatCases = (names) => [
  ...names.map((name) => ({
    name: `${name} in BF16 and int8`,
    async run({ hw, expect }) {
      const files = await inBf16(name);
      const { model: f32, input } = await opened(hw, name, { dtype: "f32" }, files);
      const exact = await f32.forward(input);
      const { model: bf16 } = await opened(hw, name, {}, files);
      // DINOv2's factors are multiplied into its matrices, which are no BF16 then.
      expect(bf16.dtype, "auto").to.equal(name === "dinov2" ? "f32" : "bf16");
      const half = await bf16.forward(input);
      expect(difference(half.hidden, exact.hidden) / largest(exact.hidden), "BF16").to.be.at.most(1e-6);
      const { model: int8 } = await opened(hw, name, { dtype: "int8" }, files);
      const quarter = await int8.forward(input);
      expect(difference(quarter.hidden, exact.hidden) / largest(exact.hidden), "int8").to.be.within(1e-9, 0.1);
      // However it becomes int8, it has the same bits.
      const converted = await f32.convert({ dtype: "int8" });
      const { hidden } = await converted.forward(input);
      // DINOv2's factors come after its matrices, which have been rounded then.
      if (name === "dinov2") expect(difference(hidden, quarter.hidden)).to.be.below(0.01 * largest(exact.hidden));
      else expect(bits(hidden), "converted").to.equal(bits(quarter.hidden));
      const again = await hw.openModel(await int8.save({ dtype: "I8" }));
      expect(again.dtype).to.equal("int8");
      expect(bits((await again.forward(input)).hidden), "saved and opened again").to.equal(bits(quarter.hidden));
      const [one, other] = [await f32.save({ dtype: "I8" }), await int8.save({ dtype: "I8" })];
      if (name !== "dinov2")
        expect(one["model.safetensors"], "saved as int8").to.deep.equal(other["model.safetensors"]);
      for (const each of [f32, bf16, int8, converted, again]) await each.dispose();
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
  })),
  {
    name: "embeddings in BF16 and int8 point where those of F32 do, and pruned models come back from I8 files",
    async run({ hw, expect }) {
      const files = await inBf16("bert-mlm");
      const { model: f32 } = await opened(hw, "bert-mlm", { dtype: "f32" }, files);
      const rows = [7, 5].map((length) => Int32Array.from({ length }, (_, n) => (5 * n + length) % 97));
      const options = { pooling: "mean", normalize: true };
      const exact = await f32.embed(rows, options);
      for (const dtype of ["bf16", "int8"]) {
        const { model } = await opened(hw, "bert-mlm", { dtype }, files);
        const { data, shape } = await model.embed(rows, options);
        expect(shape).to.deep.equal(exact.shape);
        for (let b = 0; b < 2; ++b) {
          const row = data.subarray(b * shape[1], (b + 1) * shape[1]);
          const cosine = row.reduce((sum, value, n) => sum + value * exact.data[b * shape[1] + n], 0);
          expect(cosine, `${dtype}, row ${b}`).to.be.at.least(dtype === "bf16" ? 1 - 1e-6 : 0.999);
        }
        const pruned = await model.prune({ 0: [0, 2], 2: [1] });
        const type = dtype === "int8" ? "I8" : "BF16";
        const again = await hw.openModel(await pruned.save({ dtype: type }));
        expect(again.dtype).to.equal(dtype);
        expect(again.config.heads).to.deep.equal(pruned.config.heads);
        expect(bits((await again.forward(rows[0])).hidden)).to.equal(bits((await pruned.forward(rows[0])).hidden));
        for (const each of [model, pruned, again]) await each.dispose();
      }
      await f32.dispose();
    },
  },
  {
    name: "a model in int8 is pruned, gated, measured and generates; weights have no gradients",
    async run({ hw, expect }) {
      const { model } = await opened(hw, "gpt2", { dtype: "int8" });
      const tokens = [5, 9, 11, 40, 3];
      const attention = await model.attention(0);
      const whole = (await model.forward(tokens)).hidden;
      await attention.setHeadGates(Float32Array.from({ length: model.config.numHeads }, (_, h) => (h === 1 ? 0 : 1)));
      const gated = (await model.forward(tokens)).hidden;
      const pruned = await model.prune({ 0: [1] });
      expect(pruned.dtype).to.equal("int8");
      const apart = difference((await pruned.forward(tokens)).hidden, gated);
      expect(apart, "a pruned head is a closed one, but for what int8 rounds").to.be.below(0.05 * largest(gated));
      expect(difference(whole, gated)).to.be.above(1e-3);
      const batches = [{ tokens, targets: [9, 11, 40, 3, -1] }];
      const importance = await hw.headImportance(model, batches, { method: "gradient" });
      expect(importance.flat().every(Number.isFinite)).to.equal(true);
      const text = [];
      for await (const token of model.generate(tokens, { maxTokens: 4, temperature: 0, stop: [] })) text.push(token);
      expect(text.length).to.equal(4);
      await expectError(expect, "unsupported", ['dtype "f32"'], () =>
        model.accumulateGradients(tokens, batches[0].targets),
      );
      const back = await model.convert({ dtype: "f32" });
      expect(await back.accumulateGradients(tokens, batches[0].targets)).to.be.above(0);
      const infinite = {
        data: new Float32Array(97 * model.config.embedDim).fill(Infinity),
        shape: [97, model.config.embedDim],
      };
      await expectError(expect, "invalid-option", ["embedding.weight", "finite"], () =>
        model.setParameters({ "embedding.weight": infinite }),
      );
      for (const each of [model, pruned, back]) await each.dispose();
    },
  },
];
