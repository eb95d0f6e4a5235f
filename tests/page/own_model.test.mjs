// "Your model" on the built page in Chromium: opening models by name, address and files, keeping and stopping; what stands on the screen against
// the library's own results on the same files.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { near, openHub, TEXT } from "./own.mjs";
import { darkWithReducedMotion } from "./screen.mjs";

let hub;
before(async () => (hub = await openHub(["gpt2", "llama3", "bert-mlm"])));
after(() => hub?.close());

test("by name on a hub: every head's numbers, steps, gates; the browser keeps it until it is deleted", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("gpt2");
  await own.type(TEXT);
  const files = await hub.filesOf("gpt2");
  const model = await hub.hw.openModel(files);
  const tokens = model.tokenizer.encode(TEXT);
  assert.equal((await own.heads()).length, model.config.layers * model.config.numHeads);
  await hub.compareHeads(own, model, tokens);

  // A head off: every layer after it changes.
  await own.toggle("1.2");
  model.attention(0).setHeadGates(Float32Array.from({ length: model.config.numHeads }, (_, h) => Number(h !== 1)));
  await hub.compareHeads(own, model, tokens);

  await own.show("step");
  await page.select("[data-choose=model]", "1");
  await page.select("[data-choose=head]", "2.1");
  await page.select("[data-choose=query]", "3");
  await page.waitForSelector("[data-panel]");
  for (const factor of ["scale", "mask", "softmax"]) {
    await page.click("[data-go=on]");
    await page.waitForSelector(`[data-panel=${factor}]`);
  }
  const shown = await page.$$eval("[data-column='2']", (cells) => cells.map(({ dataset }) => Number(dataset.value)));
  const { weights } = model.forward(tokens, { capture: { weights: "probabilities" } }).layers[1];
  shown.forEach((value, key) => near(value, weights.data[3 * tokens.length + key], `weight ${key}`));
  model.dispose();

  await own.show("model");
  const bytes = files["model.safetensors"].length;
  const kept = await page.$eval("[data-kept='tiny/gpt2']", (element) => element.textContent);
  assert.match(kept, new RegExp(`${(bytes / 1e6).toFixed(1)} MB`));
  const requests = () => hub.site.requests.filter((path) => path.includes("model.safetensors")).length;
  const before = requests();
  await page.reload();
  await page.waitForSelector("[data-kept='tiny/gpt2'] button");
  await page.click("[data-kept='tiny/gpt2'] button");
  await own.opened("tiny/gpt2");
  assert.equal(requests(), before, "from the cache");
  await page.click("[data-kept='tiny/gpt2'] [aria-label^=Delete]");
  await page.waitForFunction(() => !document.querySelector("[data-kept]"));
  await own.done();
});

test("from a folder's address in int8, and from files that are dropped or chosen", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  const address = `${hub.url}tiny/bert-mlm/resolve/main/`;
  await page.select("[name=dtype]", "int8");
  await page.locator("[name=where]").fill(address);
  await page.click(".open .main");
  await own.opened(address);
  await own.type(TEXT);
  const files = await hub.filesOf("bert-mlm");
  const int8 = await hub.hw.openModel(files, { dtype: "int8" });
  await hub.compareHeads(own, int8, int8.tokenizer.encode(TEXT));

  // Two texts: an encoder says how alike they are.
  await page.click("[data-view=model] [data-action=compare]");
  await own.type("word5 word9 word6", "#own-sentence-other");
  await page.waitForSelector("[data-view=model] [data-metric=similarity]");
  const { data, shape } = int8.embed([TEXT, "word5 word9 word6"], { normalize: true });
  const similarity = data.subarray(0, shape[1]).reduce((sum, value, i) => sum + value * data[shape[1] + i], 0);
  await page.waitForFunction(
    (expected) =>
      Math.abs(Number(document.querySelector("[data-view=model] [data-metric=similarity]").dataset.value) - expected) <
      1e-3,
    {},
    similarity,
  );
  assert.equal(
    await page.$("[data-view=model] [data-each]"),
    null,
    "single heads of 18 are not measured, nor spoken of",
  );
  int8.dispose();

  await page.select("[name=dtype]", "auto");
  const names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
  const paths = names.map((name) => join(hub.modelFolder("llama3"), name));
  const dropped = await Promise.all(
    paths.map(async (path) => [path.split("/").at(-1), (await readFile(path)).toString("base64")]),
  );
  await page.$eval(
    ".open",
    async (target, files) => {
      const dataTransfer = new DataTransfer();
      for (const [name, base64] of files) {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        dataTransfer.items.add(new File([bytes], name));
      }
      target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    },
    dropped,
  );
  await own.opened("model.safetensors");
  await own.type(TEXT);
  const llama = await hub.hw.openModel(await hub.filesOf("llama3"));
  await hub.compareHeads(own, llama, llama.tokenizer.encode(TEXT));
  llama.dispose();

  const input = await page.$(".files input");
  await own.after(() => input.uploadFile(...paths.map((path) => path.replace("llama3", "gpt2"))));
  await own.type(TEXT);
  const gpt2 = await hub.hw.openModel(await hub.filesOf("gpt2"));
  await hub.compareHeads(own, gpt2, gpt2.tokenizer.encode(TEXT));
  gpt2.dispose();
  await own.done();
});

test("what does not open is said, with the library's reason, and the model before stays", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("gpt2");
  await page.locator("[name=where]").fill("tiny/nothing");
  await page.click(".open .main");
  await page.waitForSelector(".open [data-refused=true]");
  assert.match(await own.status(), /did not open.*config\.json.*404/is);
  assert.equal(await own.title(), "tiny/gpt2");
  await own.type(TEXT);
  await own.done();
});

/** Starts an opening that does not end, and waits until the host has been asked. */
async function openForever(own, start) {
  const asked = hub.site.requests.length;
  hub.held = /model\.safetensors$/;
  await start();
  while (!hub.site.requests.slice(asked).some((path) => hub.held.test(path))) await sleep(20);
  await own.page.waitForSelector("[data-action=abort]");
}
const isStopped = ({ page }) => page.waitForSelector("[data-action=abort]", { hidden: true });

test("an opening can be stopped: the model before stays, with its address", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("gpt2");
  await own.type(TEXT);
  await page.click("[data-kept='tiny/gpt2'] [aria-label^=Delete]");
  await page.waitForSelector("[data-kept='tiny/gpt2']", { hidden: true });
  // The same name in other numbers: a name does not say what is open.
  await page.select("[name=dtype]", "int8");
  await openForever(own, () => page.click(".open .main"));
  await page.click("[data-action=abort]");
  await isStopped(own);
  hub.held = null;
  assert.equal(await page.$eval(".open [data-refused]", ({ dataset }) => dataset.refused), "false");
  assert.equal(await own.title(), "tiny/gpt2");
  await own.type("word9 word5");
  await page.waitForFunction(() => location.hash.includes("word9"));
  assert.doesNotMatch(await page.evaluate(() => location.hash), /int8/);
  await own.done();
});

test("a link that another one has replaced opens nothing and restores nothing", async () => {
  const link = (parameters) => `#model?${new URLSearchParams(parameters)}`;
  const go = (page, address) => page.evaluate((address) => (location.hash = address), address);
  const own = await hub.openOwn({ view: link({ model: "moby-dick", text: "Call me" }).slice(1) });
  const { page } = own;
  await own.settled();
  const other = link({ hub: "tiny/llama3", endpoint: hub.url, text: "word9" });
  await openForever(own, () => go(page, other));
  await go(page, link({ model: "moby-dick", text: "Ahab" }));
  await isStopped(own);
  hub.held = null;
  await own.settled();
  assert.equal(await page.$eval("#own-sentence", ({ value }) => value), "Ahab");
  await go(page, link({ hub: "tiny/nothing", endpoint: hub.url, text: "word9" }));
  await page.waitForSelector(".open [data-refused=true]");
  assert.equal(
    await page.$eval("#own-sentence", ({ value }) => value),
    "Ahab",
    "of what did not open nothing is shown",
  );
  await own.done();
});

test("320 pixels wide, dark: nothing scrolls sideways", async () => {
  const own = await hub.openOwn({ width: 320, features: darkWithReducedMotion });
  assert.equal(await own.overflow(), 0);
  await own.hub("gpt2");
  await own.type(TEXT);
  await own.page.click("[data-analyse=report]");
  await own.page.waitForSelector("[data-report]");
  assert.equal(await own.overflow(), 0);
  await own.done();
});
