// The analyses in Chromium, under the Content Security Policy, through both entries.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

await unpack();
const { cases } = await import("./cases.mjs");

describe("analyses in chromium", () => {
  let browser, server;
  before(async () => {
    browser = await openBrowser("chromium");
    server = await serve(root, { csp: true });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  for (const [entry, options] of [
    ["headwise", { threads: 1 }],
    ["headwise/worker", { threads: 1, simd: "simd128" }],
  ]) {
    describe(`${entry}, ${JSON.stringify(options)}`, () => {
      let page;
      before(async () => {
        page = await browser.page(`${server.url}tests/models/models.html?cases=../inside/cases.mjs`);
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
