// Every part of the built page in Firefox and WebKit too, each shortly and against the library. The other tests of the page are in Chromium.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { load, readSafetensors } from "../../dist/index.js";
import { root } from "../../tools/steps.mjs";
import { browserNames, openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { characters, evenBatches } from "../../web/src/learning/characters.mjs";
import { exported } from "./exported.mjs";
import { inPage } from "./in_page.mjs";
import { train } from "./many.mjs";
import { HEADS, loadOracle, TOLERANCE } from "./oracle.mjs";
import { makeHub, near, picture } from "./own.mjs";

let hub, host, oracle, hw;
let down = false;

before(async () => {
  hub = await makeHub(["vit"]);
  host = await serve(join(root, "web/dist"), { isolated: true, also: { "hub/": hub.folder }, isDown: () => down });
  oracle = await loadOracle(host.url);
  hw = await load({ threads: 1 });
});
after(async () => {
  await host?.close();
  oracle?.dispose();
  hw?.dispose();
  await hub?.remove();
});

const mobyDick = async () => {
  const file = await readFile(join(root, "web/public/models/moby-dick.safetensors"));
  return { model: hw.loadTransformer(file), ...characters(readSafetensors(file).metadata.vocabulary) };
};

for (const name of browserNames) {
  test(`${name}: heads, steps, the toy, and an opened model`, async () => {
    const browser = await openBrowser(name);
    try {
      const page = await browser.page(host.url);
      await page.evaluate(inPage);
      const shown = await page.evaluate(async () => {
        const { of, all, until, set } = window;
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
        set("[name=temperature]", 0);
        set("[name=count]", 5);
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

      const { model, encode } = await mobyDick();
      const written = [...model.generate(encode("The whale "), { maxTokens: 5, temperature: 0 })];
      assert.deepEqual(shown.written, written);
      model.dispose();
      assert.deepEqual(page.messages, []);
    } finally {
      await browser.close();
    }
  });

  test(`${name}: training, pruning, analyses, files, links, exercises, a picture, and without the host`, async () => {
    const browser = await openBrowser(name);
    try {
      const page = await browser.page(host.url);
      await page.evaluate(inPage);
      const trained = await page.evaluate(async () => {
        const { of, until, go } = window;
        await go("train?seed=3");
        await until(() => of("[data-section=many] input[type=number]").value === "3");
        for (const heads of [1, 4, 8]) of(`[data-heads='${heads}']`).click();
        of("[data-section=many] [data-action=main]").click();
        const metric = (name) => Number(of(`[data-lane='2'] [data-metric=${name}]`).dataset.value);
        await until(() => metric("step") >= 25);
        const lane = { steps: metric("step"), loss: metric("loss"), accuracy: metric("accuracy") };
        of("[data-section=many] [data-action=reset]").click();
        return lane;
      });
      const here = train(hw, 2, { steps: trained.steps, seed: 3 });
      assert.ok(Math.abs(trained.loss - here.loss) < 0.01, `loss ${trained.loss}, here ${here.loss}`);
      assert.ok(Math.abs(trained.accuracy - here.accuracy) < 0.03, `${trained.accuracy}, here ${here.accuracy}`);

      const { model, encode } = await mobyDick();
      const importance = await page.evaluate(async () => {
        const { of, all, until, go } = window;
        await go("prune");
        of("[data-section=pruning] [data-action=main]").click();
        const values = () => all("[data-bar]", ({ dataset }) => Number(dataset.value));
        await until(() => of("[data-section=pruning][data-phase=running]") && !values().some(Number.isNaN));
        const measured = values();
        of("[data-section=pruning] [data-action=reset]").click();
        return measured;
      });
      const text = encode(await readFile(join(root, "web/public/models/moby-dick-validation.txt"), "utf8"));
      const batches = evenBatches(text.subarray(0, Math.floor(text.length / 2)), { length: 128, count: 16, batch: 8 });
      const expected = hw.headImportance(model, batches, { method: "gradient" }).flat();
      importance.forEach((value, head) => near(value, expected[head], `importance of head ${head}`));

      await page.evaluate(async () => {
        const { of, until, go, set } = window;
        await go("model?model=moby-dick&text=The+whale");
        await until(() => of("[data-own=live][aria-busy=false]") && of("[name=answer]"));
        set("[name=answer]", "s");
        set("[name=against]", "e");
        of("[data-analyse=attribution]").click();
        await until(() => of("[data-map=attribution]"));
      });
      const file = JSON.parse((await exported(page, "[data-map=attribution] .export", "json")).text);
      const [[answer], [against]] = [encode("s"), encode("e")];
      const parts = await hw.attributeLogits(model, encode("The whale"), { answer, against, by: "head" });
      file.cells.flat().forEach((value, head) => near(value, parts.heads.data[head], `attribution of head ${head}`));
      const png = await exported(page, "[data-map=attribution] .export", "png");
      assert.equal(String.fromCharCode(...png.bytes.slice(1, 4)), "PNG");
      model.dispose();

      const link = await page.evaluate(async () => {
        const { of, until, go } = window;
        await go("show?text=Call+me.&head=1.3&off=2.1");
        await until(() => of("[data-shown='1.3']") && of("[data-head='2.1'].shut"));
        Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => (window.copied = text) } });
        of("[data-action=copy-link]").click();
        await until(() => window.copied);
        of("[data-head='1.2'] > button").click();
        await until(() => location.hash.includes("head=1.2"));
        history.back();
        await until(() => of("[data-shown='1.3']"));
        return window.copied;
      });
      assert.equal(link, `${host.url}#show?text=Call+me.&head=1.3&off=2.1`);

      const tried = await page.evaluate(async () => {
        const { of, all, until, go } = window;
        await go("exercises");
        const third = all("[data-view=exercises] li", (li) => li)[2];
        third.querySelector("summary").click();
        const { open, textContent } = third.querySelector("details");
        third.querySelector(".try a").click();
        await until(() => of("#show-sentence").value === "The dog saw the cat.");
        const similarity = await until(() => of("main[aria-busy=false] [data-view=show] [data-metric=similarity]"));
        return { open, answer: textContent, similarity: Number(similarity.dataset.value) };
      });
      assert.ok(tried.open && tried.answer.includes("0.99"));
      near(tried.similarity, await oracle.similarity("The dog saw the cat.", "The cat saw the dog."), "similarity");

      const patches = await page.evaluate(
        async (endpoint, { width, height }, bytes) => {
          const { of, all, until, go } = window;
          await go(`model?hub=tiny/vit&endpoint=${endpoint}`);
          const input = await until(() => of("[name=picture]"));
          const canvas = Object.assign(document.createElement("canvas"), { width, height });
          canvas.getContext("2d").putImageData(new ImageData(Uint8ClampedArray.from(bytes), width, height), 0, 0);
          const files = new DataTransfer();
          files.items.add(new File([await new Promise((made) => canvas.toBlob(made))], "picture.png"));
          input.files = files.files;
          input.dispatchEvent(new Event("change", { bubbles: true }));
          await until(() => of("[data-patch]"));
          return all("[data-patch]", ({ dataset }) => Number(dataset.value));
        },
        `${host.url}hub/`,
        picture,
        Array.from(picture.data),
      );
      const vit = await hw.openModel(await hub.filesOf("vit"));
      const { layers } = vit.forward({ pixels: vit.pixels(picture) }, { capture: { weights: "probabilities" } });
      patches.forEach((value, patch) => near(value, layers[0].weights.data[patch + 1], `patch ${patch}`));
      vit.dispose();
      assert.deepEqual(
        page.messages.filter((message) => !message.includes("404")),
        [],
      ); // files that a hub may have

      // The service worker has kept all, and answers now that nobody else does.
      await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
      await page.close();
      down = true;
      const offline = await browser.page(`${host.url}#show?text=Nobody+is+there.`);
      await offline.evaluate(inPage);
      const kept = await offline.evaluate(async () => {
        await window.until(() => window.of("main[data-phase=live][aria-busy=false]"));
        return window.of("#show-sentence").value;
      });
      assert.equal(kept, "Nobody is there.");
    } finally {
      down = false;
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
