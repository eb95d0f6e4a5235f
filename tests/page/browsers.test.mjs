// The parts of the built page in Firefox and WebKit too: numbers of the cards and steps, an opened model that writes, the toy. The other tests
// of the page are in Chromium.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { load, readSafetensors } from "../../dist/index.js";
import { root } from "../../tools/steps.mjs";
import { browserNames, openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { HEADS, loadOracle, TOLERANCE } from "./oracle.mjs";

let host, oracle;

before(async () => {
  host = await serve(join(root, "web/dist"), { isolated: true });
  oracle = await loadOracle(host.url);
});
after(async () => {
  await host?.close();
  oracle?.dispose();
});

for (const name of browserNames) {
  test(`${name}: heads, steps, the toy, and an opened model`, async () => {
    const browser = await openBrowser(name);
    try {
      const page = await browser.page(host.url);
      const shown = await page.evaluate(async () => {
        const until = async (what) => {
          for (let i = 0; i < 1500; ++i) {
            const found = what();
            if (found) return found;
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          throw new Error(`not there: ${what}`);
        };
        const of = (selector) => document.querySelector(selector);
        const all = (selector, read) => Array.from(document.querySelectorAll(selector), read);
        await until(() => of("main[data-phase=live][aria-busy=false]"));
        const cards = all("[data-view=show] [data-head]", ({ dataset }) => [
          dataset.head,
          Number(dataset.entropy),
          Number(dataset.distance),
        ]);
        const text = of("#show-sentence").value;

        location.hash = "#step?head=2.2&cell=7,1";
        await until(() => of("[data-panel]") && of("[data-view=step]:not([hidden])"));
        for (const panel of ["scale", "mask", "softmax"]) {
          of("[data-go=on]").click();
          await until(() => of(`[data-panel=${panel}]`));
        }
        const weights = all("[data-column='2']", ({ dataset }) => Number(dataset.value));
        const before = (await until(() => of("[data-weight='0.0.0'][data-value]"))).dataset.value;
        of("[data-tip='query.0.0']").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true }));
        await until(() => of("[data-weight='0.0.0']").dataset.value !== before);

        location.hash = "#model?model=moby-dick";
        await until(() => of("[data-own=live][aria-busy=false]") && of("[data-next]"));
        for (const [field, value] of [
          ["temperature", 0],
          ["count", 5],
        ]) {
          const input = of(`[name=${field}]`);
          input.value = value;
          input.dispatchEvent(new Event("input", { bubbles: true }));
        }
        of("[data-action=write]").click();
        await until(() => document.querySelectorAll("[data-written]").length === 5);
        return { text, cards, weights, written: all("[data-written]", ({ dataset }) => Number(dataset.written)) };
      });
      const { heads, tokens } = await oracle.compute(shown.text);
      assert.deepEqual(
        shown.cards.map(([head]) => head),
        HEADS,
      );
      for (const [head, entropy, distance] of shown.cards) {
        assert.ok(Math.abs(entropy - heads[head].entropy) < TOLERANCE, `entropy of ${head}: ${entropy}`);
        assert.ok(Math.abs(distance - heads[head].distance) < 10 * TOLERANCE, `distance of ${head}: ${distance}`);
      }
      const T = tokens.length;
      shown.weights.forEach((weight, key) =>
        assert.ok(Math.abs(weight - heads["2.2"].weights[7 * T + key]) < TOLERANCE),
      );

      const file = await readFile(join(root, "web/public/models/moby-dick.safetensors"));
      const hw = await load({ threads: 1 });
      const model = hw.loadTransformer(file);
      const vocabulary = [...readSafetensors(file).metadata.vocabulary];
      const prompt = Int32Array.from("The whale ", (letter) => vocabulary.indexOf(letter));
      assert.deepEqual(shown.written, [...model.generate(prompt, { maxTokens: 5, temperature: 0 })]);
      hw.dispose();
      assert.deepEqual(page.messages, []);
    } finally {
      await browser.close();
    }
  });
}

test("the page may fetch from its own host and from Hugging Face alone, and runs no other scripts", async () => {
  const html = await readFile(join(root, "web/dist/index.html"), "utf8");
  const policy = html.match(/Content-Security-Policy" content="([^"]+)"/)[1].replaceAll("&#39;", "'");
  const directives = Object.fromEntries(
    policy.split("; ").map((each) => [each.split(" ")[0], each.split(" ").slice(1).join(" ")]),
  );
  assert.equal(directives["connect-src"], "'self' https://huggingface.co https://*.huggingface.co https://*.hf.co");
  assert.equal(directives["script-src"], "'self' 'wasm-unsafe-eval'");
  assert.equal(directives["default-src"], "'self'");
});
