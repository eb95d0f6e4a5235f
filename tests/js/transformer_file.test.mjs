// Files of transformers that are wrong in one way or another.
import { it } from "node:test";
import { expect } from "chai";

import { load, readSafetensors, writeSafetensors } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { makeTransformer } from "./cases/head_importance.mjs";
import { expectError } from "./cases/support.mjs";

for (const [entry, open] of Object.entries({ headwise: load, "headwise/worker": loadWorker })) {
  it(`${entry}: whatever is wrong with a file is said in a sentence, and nothing is left over`, async () => {
    const hw = await open({ threads: 1 });
    const model = await makeTransformer(hw);
    const bytes = await model.save();
    const file = readSafetensors(bytes);
    const tensors = Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]));
    const write = (change, metadata = {}) =>
      writeSafetensors({ ...tensors, ...change }, { metadata: { ...file.metadata, ...metadata } });
    const config = JSON.parse(file.metadata.config);
    const { "norm.weight": _, ...fewer } = tensors;
    const live = (await hw.memory()).liveObjects;
    for (const [parts, wrong] of [
      ["8 bytes", new Uint8Array(3)],
      ["", bytes.slice(0, 100)],
      ["format", writeSafetensors(tensors)],
      ["config", write({}, { config: "{" })],
      [["config", "numHeads"], write({}, { config: JSON.stringify({ ...config, numHeads: 3 }) })],
      [
        ["embedding.weight", "[12, 16]", "[11, 16]"],
        write({}, { config: JSON.stringify({ ...config, vocabSize: 12 }) }),
      ],
      [["norm.weight"], writeSafetensors(fewer, { metadata: file.metadata })],
      [["extra"], write({ extra: tensors["norm.weight"] })],
      ["head_gates", write({}, { head_gates: "[]" })],
      ["head_gates", write({}, { head_gates: "[[1, 2], [3, 4]]" })],
      ["head_gates", write({}, { head_gates: '[[1, 2, 3, "x"], [1, 1, 1, 1]]' })],
      ["head_gates", write({}, { head_gates: "[[1, 2, 3, null], [1, 1, 1, 1]]" })],
      ["head_gates", write({}, { head_gates: "[[1, 1, 1, 1], [1, 1, 1, 1], [1]]" })],
      [["config", '"layers" twice'], write({}, { config: file.metadata.config.replace("{", '{"layers":1,') })],
    ]) {
      await expectError(expect, "invalid-file", parts, () => hw.loadTransformer(wrong));
    }
    await expectError(expect, "invalid-option", "Uint8Array", () => hw.loadTransformer("model.safetensors"));
    expect((await hw.memory()).liveObjects).to.equal(live);
    await model.dispose();
  });

  it(`${entry}: a file from before normEpsilon and rope opens with what was meant then`, async () => {
    const hw = await open({ threads: 1 });
    for (const more of [{ norm: "rms", positions: "rotary" }, {}]) {
      const model = await makeTransformer(hw, more);
      const file = readSafetensors(await model.save());
      const { normEpsilon, rope, ...older } = JSON.parse(file.metadata.config);
      expect(normEpsilon).to.equal(more.norm === "rms" ? 1e-6 : 1e-5);
      expect(rope).to.deep.equal(more.norm === "rms" ? { base: 10000, dim: 4, interleaved: false } : undefined);
      const tensors = Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]));
      const metadata = { ...file.metadata, config: JSON.stringify(older) };
      const opened = await hw.loadTransformer(writeSafetensors(tensors, { metadata }));
      expect(opened.config).to.deep.equal(model.config);
      const tokens = Int32Array.of(3, 1, 4, 1, 5);
      expect(await opened.forward(tokens)).to.deep.equal(await model.forward(tokens));
      await opened.dispose();
      await model.dispose();
    }
    await hw.dispose();
  });
}

it("a file that says more than it has is refused at once, in little memory", async () => {
  const hw = await load({ threads: 1 });
  const model = hw.transformer({ vocabSize: 4, contextLength: 8, layers: 1, embedDim: 8, numHeads: 2 });
  const file = readSafetensors(model.save());
  const tensors = Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]));
  const config = JSON.parse(file.metadata.config);
  const { heads: _, layerOptions: __, ...whole } = config; // the defaults of any number of layers
  const large = 9_000_000;
  const refusals = [
    ["config: expected at most", { config: "[".repeat(large) }],
    ["config: expected at most", { config: `{"heads":[${"[],".repeat(large / 3)}[]]}` }],
    ["head_gates: expected at most", { head_gates: "[".repeat(large) }],
    ["config has a bracket", { config: '{"heads":' + "[".repeat(9000) }],
    ["head_gates has a bracket", { head_gates: "[".repeat(9000) }],
    [
      "layers.0.attention.q_proj.weight",
      { config: JSON.stringify({ ...whole, layers: 1000, numHeads: 4096, headDim: 1 }) },
    ],
    ["positions.weight", { config: JSON.stringify({ ...config, contextLength: 2 ** 27 }) }],
    ["heads[0]", { config: JSON.stringify({ ...config, heads: [Array(999).fill(0)] }) }],
  ];
  for (const [part, metadata] of refusals) {
    const bytes = writeSafetensors(tensors, { metadata: { ...file.metadata, ...metadata } });
    const [start, before] = [performance.now(), process.resourceUsage().maxRSS];
    const capacity = hw.memory().capacityBytes;
    await expectError(expect, "invalid-file", part, () => hw.loadTransformer(bytes));
    expect(performance.now() - start, `${part}: ms`).to.be.lessThan(3000); // parsed, the largest take many seconds
    expect((process.resourceUsage().maxRSS - before) / 1024, `${part}: MiB`).to.be.lessThan(200); // and gigabytes
    expect(hw.memory().capacityBytes).to.equal(capacity);
  }
  // A context that no memory could hold is no lie where nothing of the file tells its length: memory goes by what is used.
  for (const positions of ["sinusoidal", "rotary", "alibi", "none"]) {
    const small = readSafetensors(hw.transformer({ ...whole, positions }).save());
    const bytes = writeSafetensors(Object.fromEntries(small.names.map((name) => [name, small.tensor(name)])), {
      metadata: {
        ...small.metadata,
        config: JSON.stringify({ ...JSON.parse(small.metadata.config), contextLength: 2 ** 31 - 1 }),
      },
    });
    const { usedBytes } = hw.memory();
    const loaded = hw.loadTransformer(bytes);
    loaded.forward(Int32Array.of(1, 2, 3));
    expect([...loaded.generate([1], { maxTokens: 9 })], positions).to.have.length(9);
    expect(hw.memory().usedBytes - usedBytes, `${positions}: bytes`).to.be.lessThan(1e6);
  }
  // So it is with heads that have been pruned: the original model's 4,096 would take 4 GiB.
  const headless = hw
    .transformer({ ...whole, layers: 2, embedDim: 256, numHeads: 4, numKvHeads: 4, headDim: 64 })
    .prune({ 0: [0, 1, 2], 1: [3] });
  const pruned = readSafetensors(headless.save());
  const heads = [[4095], [7, 8, 9]];
  const bytes = writeSafetensors(Object.fromEntries(pruned.names.map((name) => [name, pruned.tensor(name)])), {
    metadata: {
      ...pruned.metadata,
      config: JSON.stringify({ ...headless.config, numHeads: 4096, numKvHeads: 4096, heads }),
    },
  });
  const { capacityBytes } = hw.memory();
  const loaded = hw.loadTransformer(bytes);
  expect(loaded.config.heads).to.deep.equal(heads);
  expect(loaded.forward(Int32Array.of(1, 2)).logits).to.deep.equal(headless.forward(Int32Array.of(1, 2)).logits);
  expect(hw.memory().capacityBytes - capacityBytes).to.be.lessThan(16e6);
  hw.dispose();
});

it("a pruned model that is loaded gives the same logits and importances, bit for bit: groups and slopes follow", async () => {
  const hw = await load({ threads: 1 });
  for (const more of [
    { positions: "alibi", numHeads: 6, headDim: 4 },
    { numKvHeads: 2 },
    { numKvHeads: 1, norm: "rms" },
  ]) {
    const config = { vocabSize: 9, contextLength: 8, layers: 2, embedDim: 16, numHeads: 4, ...more };
    const model = hw.transformer(config).prune({ 0: [1], 1: [0, 1, 2] });
    const loaded = hw.loadTransformer(model.save());
    const tokens = Int32Array.of(1, 5, 3, 8, 0);
    const capture = { weights: "masked" };
    expect(loaded.forward(tokens, { capture })).to.deep.equal(model.forward(tokens, { capture }));
    expect(loaded.attention(0).config).to.deep.equal(model.attention(0).config);
    const [ours, expected] = [loaded, model].map((each) =>
      hw.headImportance(each, [{ tokens, targets: tokens }], { method: "leave-one-out" }),
    );
    expect(ours).to.deep.equal(expected);
  }
  hw.dispose();
});
