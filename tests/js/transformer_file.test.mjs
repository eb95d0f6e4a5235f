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
    ]) {
      await expectError(expect, "invalid-file", parts, () => hw.loadTransformer(wrong));
    }
    await expectError(expect, "invalid-option", "Uint8Array", () => hw.loadTransformer("model.safetensors"));
    expect((await hw.memory()).liveObjects).to.equal(live);
    await model.dispose();
    await hw.dispose();
  });
}
