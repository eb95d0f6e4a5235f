// The numbers that opened models are held to: whole, small, and as they were computed.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";

import { chosen, convert, readPacked, shared, unpack } from "../../tools/goldens.mjs";
import {
  lensNames,
  modelNames,
  openGolden,
  openLens,
  openTokenizerGolden,
  tokenizerNames,
  torchCases,
} from "./goldens.mjs";
import { importInternal } from "./internal.mjs";

const { openFiles } = await importInternal("files/model_files.ts");
const { resolveSource } = await importInternal("files/sources.ts");
const packed = new URL("goldens/", import.meta.url).pathname;

describe("goldens", () => {
  before(unpack);

  it("are of all families, in 6.5 MB", async () => {
    const sizes = await Promise.all((await readdir(packed)).map(async (name) => (await stat(join(packed, name))).size));
    assert.ok(sizes.reduce((sum, size) => sum + size) <= 6_500_000);
    const types = new Set();
    for (const name of chosen.filter((name) => !["tokenizers", "torch-mha"].includes(name)))
      types.add(JSON.parse((await readPacked(name))["config.json"]).model_type);
    const families =
      "gpt2 gpt_neo gpt_neox llama mistral qwen2 qwen3 gemma2 gemma3_text phi3 smollm3 bert distilbert roberta xlm-roberta modernbert vit dinov2 clip";
    for (const family of families.split(" ")) assert.ok(types.has(family), family);
  });

  it("have weights that fit their header, and outputs that fit their shapes", async () => {
    const names = await modelNames();
    assert.ok(names.length >= 21);
    for (const name of names) {
      const { folder, cases } = await openGolden(name);
      const files = openFiles(resolveSource(folder));
      assert.ok((await files.json("config.json", true)).model_type);
      let count = 0;
      for await (const tensor of (await files.weights()).stream()) count += (await tensor.floats()).length;
      assert.ok(count > 40_000, `${name}: ${count}`);
      for (const { outputs } of Object.values(cases)) {
        for (const { data, shape } of Object.values(outputs)) {
          assert.equal(
            data.length,
            shape.reduce((product, extent) => product * extent, 1),
          );
          assert.ok(data.every(Number.isFinite));
        }
      }
    }
    for (const name of await lensNames()) assert.ok((await openLens(name)).variants.folded.dla.by_head.data.length > 0);
    assert.equal((await torchCases("mha")).length, 25);
    assert.equal((await torchCases("sdpa")).length, 10);
    for (const name of tokenizerNames) assert.equal((await openTokenizerGolden(name)).golden.texts.length, 18);
  });

  const skip = !existsSync(shared) && "there is no shared folder beside the repository";
  it(
    "are the shared folder's: what goes in exactly, what comes out within 4 % of the tolerance",
    { skip },
    async () => {
      for (const name of chosen) {
        const copy = await readPacked(name);
        const exact = await convert(name, false);
        assert.deepEqual(Object.keys(copy), Object.keys(exact));
        for (const [file, bytes] of Object.entries(exact)) {
          if (!["golden.safetensors", "lens.safetensors"].includes(file)) {
            assert.ok(bytes.equals(copy[file]), `${name}/${file}`);
            if (!/^(golden|mha|sdpa|lens)\./.test(file) && !name.startsWith("lens-"))
              assert.ok(bytes.equals(await readFile(join(shared, name, file))));
            continue;
          }
          const start = 8 + Number(bytes.readBigUInt64LE());
          assert.ok(bytes.subarray(0, start).equals(copy[file].subarray(0, start)));
          const [ours, theirs] = [copy[file], bytes].map(
            (all) => new Float32Array(Uint8Array.from(all.subarray(start)).buffer),
          );
          const header = JSON.parse(bytes.subarray(8, start));
          for (const [tensor, { data_offsets }] of Object.entries(header)) {
            const [from, to] = data_offsets.map((offset) => offset / 4);
            const largest = theirs.subarray(from, to).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
            const tolerance = tensor.startsWith("gradient/")
              ? 1e-3 * largest
              : file.startsWith("lens")
                ? 1e-4 * largest
                : tensor.endsWith("attentions")
                  ? 5e-5
                  : 2e-4;
            const most = /inputs|rope/.test(tensor) ? 0 : 0.0625 * tolerance;
            for (let n = from; n < to; ++n)
              assert.ok(Math.abs(ours[n] - theirs[n]) <= most, `${name}: ${tensor} [${n - from}]`);
          }
        }
      }
    },
  );
});
