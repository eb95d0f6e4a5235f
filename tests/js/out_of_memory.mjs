// Run by lifetime.test.mjs with little WebAssembly memory: allocations of the core itself fail.
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { expectError } from "./cases/support.mjs";

for (const [entry, open] of Object.entries({ headwise: load, "headwise/worker": loadWorker })) {
  const hw = await open({ threads: 1 });
  const square = (length, width) => ({
    data: new Float32Array(length * width).fill(0.5),
    shape: [1, 1, length, width],
  });
  const refused = async (call) => {
    await expectError(expect, "out-of-memory", ["could not allocate", "MiB"], call);
    expect((await hw.memory()).usedBytes).to.equal(0);
  };
  await refused(() => hw.attention(square(400_000, 8), square(400_000, 8), square(400_000, 8))); // in the arena
  await refused(() => hw.attention(square(3_000_000, 8), square(1, 8), square(1, 8))); // in the staging block
  await refused(() => hw.multiHeadAttention({ embedDim: 4096, numHeads: 1 })); // in the module
  const mha = await hw.multiHeadAttention({ embedDim: 1200, numHeads: 1 }); // 22 MiB
  await expectError(expect, "out-of-memory", "parameters", async () => {
    for (let n = 0; n < 5; ++n) await mha.prune([]);
  });
  const decoder = await hw.multiHeadAttention({ embedDim: 8, numHeads: 1 });
  const cache = await decoder.cache({ batch: 1, capacity: 100_000 }); // 6 MiB
  await expectError(expect, "out-of-memory", "keys and values", () => decoder.cache({ batch: 1, capacity: 900_000 }));
  const flat = (length) => ({ data: new Float32Array(length * 8).fill(0.5), shape: [length, 8] });
  await decoder.forward(flat(1), { cache });
  await expectError(expect, "out-of-memory", "scratch", () => decoder.forward(flat(90_000), { cache }));
  expect([...(cache.length ?? (await cache.getLength()))]).to.deep.equal([1]);
  await decoder.forward(flat(1), { cache });
  const trained = await hw.multiHeadAttention({ embedDim: 8, numHeads: 1 });
  await trained.forward(flat(4), { train: true });
  const expected = await trained.backward(flat(4));
  await trained.forward(flat(4), { train: true });
  const tooLong = () => trained.forward(flat(200_000), { train: true });
  await expectError(expect, "out-of-memory", "scratch", tooLong);
  expect(await trained.backward(flat(4))).to.deep.equal(expected); // of the forward pass before
  const model = await hw.transformer({
    vocabSize: 9,
    contextLength: 50_000,
    layers: 1,
    embedDim: 8,
    numHeads: 1,
    positions: "none",
  });
  const optimizer = await hw.adamW({ lr: 0.01 });
  const tokens = (length) => Int32Array.from({ length }, (_, n) => n % 9);
  const loss = await model.trainStep(tokens(4), tokens(4), optimizer);
  const before = await model.parameters();
  const gradients = await model.gradients();
  await expectError(expect, "out-of-memory", "scratch", () =>
    model.trainStep(tokens(50_000), tokens(50_000), optimizer),
  );
  expect(await model.parameters()).to.deep.equal(before);
  expect(await model.gradients()).to.deep.equal(gradients);
  expect(await model.trainStep(tokens(4), tokens(4), optimizer)).to.be.lessThan(loss);
  await expectError(expect, "out-of-memory", "parameters", () =>
    hw.transformer({ vocabSize: 400_000, contextLength: 4, layers: 1, embedDim: 64, numHeads: 1 }),
  );
  await model.dispose();
  const writer = await hw.transformer({
    vocabSize: 9,
    contextLength: 2 ** 22, // 256 MiB of keys and values
    layers: 1,
    embedDim: 8,
    numHeads: 1,
    positions: "none",
  });
  const generated = [];
  for await (const token of writer.generate([1], { maxTokens: 20 })) generated.push(token);
  expect(generated.length).to.equal(20);
  const prompt = Array.from({ length: 2 ** 20 }, (_, n) => n % 9);
  await expectError(expect, "out-of-memory", "64 MiB of keys and values", async () => {
    for await (const _ of writer.generate(prompt, { maxTokens: 1 }));
  });
  await writer.dispose();
  await optimizer.dispose();
  const { output } = await hw.attention(square(3, 4), square(3, 4), square(3, 4));
  expect([...output.data]).to.deep.equal(Array(12).fill(0.5));
  expect((await mha.forward({ data: new Float32Array(1200), shape: [1, 1200] })).output.shape).to.deep.equal([1, 1200]);
  await hw.dispose();
  process.stdout.write(`${entry}: as it should be\n`);
}
