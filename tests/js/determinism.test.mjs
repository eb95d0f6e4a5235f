// Output is bit-identical for every number of threads, and from call to call.
import { it } from "node:test";
import { expect } from "chai";
import { relaxedSimd } from "wasm-feature-detect";

import { load } from "../../dist/index.js";
import { random } from "./reference.mjs";

const x = random([2, 131, 192], 1);
const everything = { numKvHeads: 2, rope: { dim: 16 }, alibi: true, softcap: 3 };

/** What an instance computes: attention, modules with and without options, gradients, a cache step by step. */
function compute(hw) {
  const results = [hw.attention(x, x, x, { numHeads: 4 })];
  for (const options of [{}, everything]) {
    const mha = hw.multiHeadAttention({ embedDim: 192, numHeads: 6, seed: 3, ...options });
    const asked = { causal: true, window: { left: 90 }, return: { weights: "probabilities", heads: "contributions" } };
    results.push(mha.forward(x, asked), mha.prune([1, 5]).forward(x, asked));
    mha.forward(x, { causal: true, train: true, dropout: 0.1 });
    results.push(mha.backward(random([2, 131, 192], 7)), mha.gradients());
    const cache = mha.cache({ batch: 2, capacity: 140 });
    mha.forward(x, { ...asked, cache, keyLengths: Int32Array.of(131, 70) });
    for (let n = 0; n < 3; ++n) results.push(mha.forward(random([2, 1 + n, 192], n), { ...asked, cache }));
  }
  // Wide enough that threads share every part: norms, activations, embeddings, the optimizer.
  for (const options of [{ dropout: 0.1 }, { norm: "rms", activation: "silu-gated", positions: "rotary" }]) {
    const model = hw.transformer({
      vocabSize: 50,
      contextLength: 64,
      layers: 2,
      embedDim: 72,
      numHeads: 4,
      ...options,
    });
    const optimizer = hw.adamW({ lr: 0.01, clipNorm: 0.5 });
    const data = Int32Array.from(random([4 * 64], 5).data, (value) => Math.floor(25 * (value + 1)));
    for (let n = 0; n < 3; ++n)
      results.push(model.trainStep({ data, shape: [4, 64] }, { data, shape: [4, 64] }, optimizer));
    results.push(model.parameters(), model.gradients(), [...model.generate([1, 2, 3], { maxTokens: 70 })]);
    model.dispose();
  }
  // Matrices in other formats, with few rows (threads share the columns) and many, and tokens one by one.
  for (const dtype of ["bf16", "int8"]) {
    const shape = { vocabSize: 50, contextLength: 128, layers: 2, embedDim: 192, numHeads: 6, feedForwardDim: 768 };
    const model = hw.transformer({ ...shape, dtype });
    for (const length of [1, 7, 32, 128]) {
      const tokens = Int32Array.from({ length }, (_, n) => (7 * n) % 50);
      results.push(model.forward(tokens, { capture: { weights: "probabilities", stream: ["after"] } }));
    }
    results.push(model.save({ dtype: "I8" }), [...model.generate([1, 2, 3], { maxTokens: 9 })]);
    model.dispose();
  }
  // A few queries share panels in other ways on other threads; a head has infinity among its values.
  const value = random([1, 3, 40, 8], 2);
  value.data[8 * 5] = Infinity;
  const mask = { data: Uint8Array.from({ length: 40 }, (_, j) => Number(j !== 5)), shape: [40] };
  results.push(hw.attention(random([1, 3, 1, 24], 3), random([1, 3, 40, 24], 4), value, { mask }));
  return results;
}

/** What is measured of a transformer, and what is left of it when it is pruned and trained in between. */
function measureAndPrune(hw) {
  const model = hw.transformer({ vocabSize: 60, contextLength: 64, layers: 2, embedDim: 96, numHeads: 6 });
  const tokens = (seed) => ({ data: random([2 * 64], seed).data.map((number) => 30 + 30 * number), shape: [2, 64] });
  const integers = ({ data, shape }) => ({ data: Int32Array.from(data), shape });
  const batches = [1, 3].map((seed) => ({ tokens: integers(tokens(seed)), targets: integers(tokens(seed + 1)) }));
  const methods = ["gradient", "confidence", "norm", "leave-one-out", "random"];
  const importance = methods.map((method) => hw.headImportance(model, batches, { method }));
  const pruned = hw.pruneByImportance(
    model,
    { method: "gradient", batches },
    { count: 4, reestimate: 2, fineTune: { optimizer: { lr: 0.01 }, steps: 3 } },
  );
  return [importance, pruned.steps, pruned.model.parameters()];
}

it("int8 files are the same bytes from every binary", async () => {
  const files = [];
  for (const simd of (await relaxedSimd()) ? ["simd128", "relaxed"] : ["simd128"]) {
    for (const threads of [1, 2]) {
      const hw = await load({ simd, threads });
      const model = hw.transformer({ vocabSize: 50, contextLength: 8, layers: 2, embedDim: 72, numHeads: 4 });
      const shapes = Object.entries(model.parameters()).map(([key, { shape }]) => [key, shape]);
      model.setParameters(Object.fromEntries(shapes.map(([key, shape], n) => [key, random(shape, n)])));
      const int8 = model.convert({ dtype: "int8" });
      files.push(
        model.save({ dtype: "I8" }),
        int8.save({ dtype: "I8" }),
        hw.loadTransformer(int8.save()).save({ dtype: "I8" }),
      );
      hw.dispose();
    }
  }
  for (const file of files) expect(file).to.deep.equal(files[0]);
});

for (const [name, work] of Object.entries({ compute, measureAndPrune })) {
  it(`1, 2 and 4 threads give the same bits: ${name}`, async () => {
    const results = [];
    for (const threads of [1, 2, 4]) {
      const hw = await load({ threads });
      results.push(work(hw));
      expect(work(hw)).to.deep.equal(results.at(-1));
      hw.dispose();
    }
    expect(results[1]).to.deep.equal(results[0]);
    expect(results[2]).to.deep.equal(results[0]);
  });
}
