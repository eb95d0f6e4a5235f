// The analyses of whole models in Node: every binary that this Node can run, through both entries.
import { after, before, describe, it } from "node:test";
import { expect } from "chai";
import { relaxedSimd } from "wasm-feature-detect";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { unpack } from "../../tools/goldens.mjs";

await unpack();
const { cases } = await import("./cases.mjs");

const simds = (await relaxedSimd()) ? ["simd128", "relaxed"] : ["simd128"];

for (const [entry, loadEntry] of Object.entries({ headwise: load, "headwise/worker": loadWorker })) {
  for (const simd of simds) {
    for (const threads of [1, 2]) {
      describe(`${entry}, ${simd}, ${threads} thread${threads > 1 ? "s" : ""}`, () => {
        let hw;
        before(async () => (hw = await loadEntry({ simd, threads })));
        after(() => hw.dispose());
        for (const { name, run } of cases) it(name, () => run({ hw, expect, load: loadEntry, entry }));
      });
    }
  }
}
