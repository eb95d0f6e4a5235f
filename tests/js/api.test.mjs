// All cases of the public API in Node: every binary that this Node can run, through both entries. With HEADWISE_QUICK one
// combination that goes through all of them.
import { describe, it, before, after } from "node:test";
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { cases } from "./cases.mjs";
import { relaxedSimd } from "wasm-feature-detect";

const quick = process.env.HEADWISE_QUICK !== undefined;
const simds = (await relaxedSimd()) ? (quick ? ["relaxed"] : ["simd128", "relaxed"]) : ["simd128"];
const threadCounts = quick ? [2] : [1, 2];
const entries = { ...(!quick && { headwise: load }), "headwise/worker": loadWorker };

for (const [entry, loadEntry] of Object.entries(entries)) {
  for (const simd of simds) {
    for (const threads of threadCounts) {
      describe(`${entry}, ${simd}, ${threads} thread${threads > 1 ? "s" : ""}`, () => {
        let hw;
        before(async () => (hw = await loadEntry({ simd, threads })));
        after(() => hw.dispose());
        it("is what was asked for", () => expect({ ...hw.info, reason: "" }).to.include({ simd, threads }));
        const first = simd === simds[0] && threads === threadCounts[0];
        for (const { name, run } of cases.filter(({ once }) => first || !once))
          it(name, () => run({ hw, expect, load: loadEntry, entry }));
      });
    }
  }
}
