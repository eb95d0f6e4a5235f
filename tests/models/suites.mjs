// Runs cases on one instance, in Node and on a page of Chromium: those of opened models, and those of analyses.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { expect } from "chai";
import { relaxedSimd } from "wasm-feature-detect";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { root } from "../../tools/steps.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

/** Through both entries, with every binary that this Node can run. */
export async function inNode(cases) {
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
}

/**
 * In Chromium, under the Content Security Policy. `file`: where the page finds the cases, relative to this folder; `ways`: entries, and
 * the options of load.
 */
export function inChromium(title, file, cases, ways) {
  describe(title, () => {
    let browser, server;
    before(async () => {
      browser = await openBrowser("chromium");
      server = await serve(root, { csp: true });
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    for (const [entry, options] of ways) {
      describe(`${entry}, ${JSON.stringify(options)}`, () => {
        let page;
        before(async () => {
          page = await browser.page(`${server.url}tests/models/models.html?cases=${file}`);
          await page.evaluate((...args) => modelCases.open(...args), entry, options);
        });
        after(async () => {
          await page?.evaluate(() => modelCases.close());
          await page?.close();
        });
        for (const { name } of cases) {
          it(name, async () => {
            const wrong = await page.evaluate((name) => modelCases.run(name), name);
            assert.ok(wrong == null, wrong);
          });
        }
      });
    }
  });
}
