// Every part of the built page in axe-core, as it is at first and with what it shows when it is used: light, dark, forced colours, narrow.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { openSite } from "./screen.mjs";

const VIEWS = ["step", "train", "prune", "model"];
const TWO_TEXTS = "show?text=The+dog+saw+the+cat.&with=The+cat+saw+the+dog.&head=1.3&cell=1,2&off=2.1";
let site, axe;

before(async () => {
  site = await openSite();
  axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
});
after(() => site?.close());

async function violations(page) {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] });
    return violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .map(({ target }) => target.join(" "))
          .slice(0, 3)
          .join(", ")}`,
    );
  });
}

for (const [name, options] of Object.entries({
  light: {},
  "dark, 320 pixels wide": { width: 320, features: [{ name: "prefers-color-scheme", value: "dark" }] },
  "forced colours": { forced: true },
})) {
  test(`${name}: axe finds no violation of WCAG 2.1 A and AA in any part`, async () => {
    const screen = await site.open({ view: TWO_TEXTS, ...options });
    const { page } = screen;
    if (options.forced) {
      const client = await page.createCDPSession();
      const features = [{ name: "forced-colors", value: "active" }];
      await client.send("Emulation.setEmulatedMedia", { features });
    }
    const found = {};
    const check = async (what) => {
      const list = await violations(page);
      if (list.length > 0) found[what] = list;
    };
    await check("two texts");
    for (const view of VIEWS) {
      await screen.show(view);
      if (view === "model") {
        await page.click("[data-action=moby]");
        await page.waitForSelector("[data-own=live][aria-busy=false]");
        await page.click("[data-analyse=report]");
        await page.waitForSelector("[data-report]");
        for (const name of ["scored", "judged"]) await page.type(`[name=${name}]`, `The ${name} whale`);
        await page.select("[name=importance]", "norm");
        await page.click("[data-prune=score]");
        await (await page.waitForSelector("[data-prune=remove]")).click();
        await page.waitForSelector("[data-row=smaller]");
      }
      await check(view);
    }
    await page.click("[href='#exercises']");
    await check("exercises");
    assert.deepEqual(found, {});
    await screen.done();
  });
}
