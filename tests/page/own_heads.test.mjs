// "Your model" on the built page in Chromium: what there is to see of an opened model, against the library's own results on the same files.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { readSafetensors, writeSafetensors } from "../../dist/index.js";
import { root } from "../../tools/steps.mjs";
import { exported } from "./exported.mjs";
import { near, openHub, picture, TEXT } from "./own.mjs";

let hub;
before(async () => (hub = await openHub(["gpt2", "vit"])));
after(() => hub?.close());

test("writing: the likeliest tokens are the model's own, letters of Moby Dick too; a head can be switched off meanwhile", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("gpt2");
  await own.type(TEXT);
  const model = await hub.hw.openModel(await hub.filesOf("gpt2"));
  const prompt = model.tokenizer.encode(TEXT);
  const { logits } = model.forward(prompt, { logits: "last" });
  const powers = Array.from(logits.data, Math.exp);
  const total = powers.reduce((sum, value) => sum + value);
  const next = await page.$$eval("[data-next]", (all) =>
    all.map(({ dataset }) => [Number(dataset.next), Number(dataset.value)]),
  );
  assert.equal(next.length, 8);
  for (const [id, probability] of next) near(probability, powers[id] / total, `probability of ${id}`);
  assert.equal(next[0][0], logits.data.indexOf(Math.max(...logits.data)));

  await own.set("temperature", 0);
  await own.set("count", 6);
  const written = async (count) => {
    await page.waitForFunction((count) => document.querySelectorAll("[data-written]").length === count, {}, count);
    return page.$$eval("[data-written]", (all) => all.map(({ dataset }) => Number(dataset.written)));
  };
  await page.click("[data-action=write]");
  const greedy = (edits = []) => [...model.generate(prompt, { maxTokens: 6, temperature: 0, stop: [], edits })];
  assert.deepEqual(await written(6), greedy());
  await page.waitForFunction(() => document.querySelector("[data-action=write]").textContent === "Write");
  assert.equal(
    await page.$$eval("[data-view=model] [data-token]", (all) => all.length),
    prompt.length + 6,
    "the maps have grown",
  );

  await own.type(TEXT);
  const { numHeads } = model.config;
  for (let head = 0; head < numHeads; ++head) await own.toggle(`1.${head + 1}`);
  await page.click("[data-action=write]");
  const edits = Array.from({ length: numHeads }, (_, head) => ({ layer: 0, at: "heads", head, set: 0 }));
  assert.deepEqual(await written(6), greedy(edits));
  assert.notDeepEqual(greedy(edits), greedy());
  for (let head = 0; head < numHeads; ++head) await own.toggle(`1.${head + 1}`);

  // While it writes: until then each token has its probability with all heads, from then on without head 2.1.
  await own.type(TEXT);
  await own.set("count", 40);
  await page.click("[data-action=write]");
  const off = "[data-view=model] [data-head='2.1'] [data-switch=gate]";
  await page.waitForFunction(
    (off) => document.querySelectorAll("[data-written]").length >= 4 && (document.querySelector(off).click(), true),
    {},
    off,
  );
  const ids = await written(40);
  const chances = await page.$$eval("[data-written]", (all) => all.map(({ dataset }) => Number(dataset.value)));
  const without = { edits: [{ layer: 1, at: "heads", head: 0, set: 0 }] };
  const chanceOf = (n, options) => {
    const { data } = model.forward([...prompt, ...ids.slice(0, n)], { logits: "last", ...options }).logits;
    return Math.exp(data[ids[n]]) / data.reduce((sum, logit) => sum + Math.exp(logit), 0);
  };
  const isOn = chances.map((chance, n) => {
    const [on, isOff] = [{}, without].map((options) => Math.abs(chanceOf(n, options) - chance));
    assert.ok(Math.min(on, isOff) < 1e-5, `token ${n}: ${chance}`);
    return on < isOff;
  });
  const count = isOn.indexOf(false);
  assert.ok(count >= 4 && count < 40, `${count} tokens with all heads`);
  assert.ok(!isOn.slice(count).includes(true), isOn.join());
  await own.toggle("2.1");
  model.dispose();

  await page.click("[data-action=moby]");
  await own.opened("Moby Dick, letter by letter");
  await own.settled();
  await own.set("temperature", 0);
  await own.set("count", 12);
  const file = await readFile(join(root, "web/public/models/moby-dick.safetensors"));
  const moby = hub.hw.loadTransformer(file);
  const vocabulary = [...readSafetensors(file).metadata.vocabulary];
  const start = Int32Array.from("The whale ", (letter) => vocabulary.indexOf(letter));
  await page.click("[data-action=write]");
  assert.deepEqual(await written(12), [...moby.generate(start, { maxTokens: 12, temperature: 0 })]);
  moby.dispose();
  await own.done();
});

test("a picture: the shown head's weights over its patches, from the class and from a patch", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("vit");
  const png = await page.evaluate(
    async ({ width, height }, bytes) => {
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext("2d").putImageData(new ImageData(Uint8ClampedArray.from(bytes), width, height), 0, 0);
      const blob = await canvas.convertToBlob();
      return Array.from(new Uint8Array(await blob.arrayBuffer()));
    },
    picture,
    Array.from(picture.data),
  );
  const path = join(hub.folder, "picture.png");
  await writeFile(path, Uint8Array.from(png));
  await (await page.$("[name=picture]")).uploadFile(path);
  await page.waitForSelector("[data-patch]");
  const model = await hub.hw.openModel(await hub.filesOf("vit"));
  const { layers } = model.forward({ pixels: model.pixels(picture) }, { capture: { weights: "probabilities" } });
  const { data, shape } = layers[0].weights;
  const T = shape.at(-1);
  const values = () => page.$$eval("[data-patch]", (all) => all.map(({ dataset }) => Number(dataset.value)));
  (await values()).forEach((value, patch) => near(value, data[patch + 1], `from the class to patch ${patch}`));
  await page.hover("[data-patch='2']");
  (await values()).forEach((value, patch) => near(value, data[3 * T + patch + 1], `from patch 2 to patch ${patch}`));
  const file = JSON.parse((await exported(page, "[data-section=picture] .export", "json")).text);
  assert.match(file.title, /from patch /);
  assert.equal(file.cells.length, file.rows.length);
  (await values()).forEach((value, patch) => near(file.cells.flat()[patch], value, `exported, patch ${patch}`));
  model.dispose();

  // The address has the model and the pinned patch. It cannot have the picture: what says one is read without it.
  await page.click("[data-patch='2']");
  await page.waitForFunction(() => /[?&]cell=3/.test(location.hash));
  const address = await page.evaluate(() => location.hash);
  assert.doesNotMatch(address, /text=/);
  await own.done();
  const again = await hub.openOwn({ view: `${address.slice(1)}&text=picture.png` });
  await again.opened("tiny/vit");
  await again.page.waitForFunction(() => !/text=/.test(location.hash));
  assert.equal(await again.page.$eval("[data-own]", ({ dataset }) => dataset.own), "waiting", "no picture, no run");
  await (await again.page.$("[name=picture]")).uploadFile(path);
  await again.page.waitForSelector("[data-patch]");
  await again.done();
});

test("which head did it: attribution, ablation, patching and the report are the library's; a click goes to a head", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("gpt2");
  const other = "word5 word9 word7 word40 word41";
  await own.type(TEXT);
  await page.click("[data-view=model] [data-action=compare]");
  await own.type(other, "#own-sentence-other");
  const model = await hub.hw.openModel(await hub.filesOf("gpt2"));
  const metric = { answer: "word5", against: "word7" };
  const expected = {
    attribution: (await hub.hw.attributeLogits(model, TEXT, { ...metric, by: "head" })).heads,
    ablation: await hub.hw.ablateHeads(model, [TEXT], { with: "zero", metric }),
    patching: await hub.hw.patch(model, TEXT, other, { at: "heads", by: "head", metric }),
  };
  const base = { attribution: 0, ablation: expected.ablation.baseline, patching: expected.patching.corrupted };
  await page.click("[data-analyse=attribution]");
  await page.waitForFunction(() =>
    document.querySelector("[data-section=analyses] [role=status]").textContent.includes("not one token"),
  );
  await page.locator("[name=answer]").fill("word5");
  await page.locator("[name=against]").fill("word7");
  for (const [kind, map] of Object.entries(expected)) {
    await page.click(`[data-analyse=${kind}]`);
    const matrix = `[data-map=${kind}] [data-matrix]`;
    await page.waitForSelector(matrix);
    await page.focus(matrix);
    const [layers, heads] = map.shape;
    for (let layer = 0; layer < layers; ++layer) {
      await own.press("Home");
      for (let head = 0; head < heads; ++head) {
        const value = await page.$eval(`[data-map=${kind}] [data-value]`, ({ dataset }) => Number(dataset.value));
        near(value, map.data[layer * heads + head] - base[kind], `${kind} of ${layer}.${head}`);
        await own.press("ArrowRight");
      }
      await own.press("ArrowDown");
    }
    await own.press("Enter");
    assert.equal(await own.shown(), `${layers}.${heads}`);
  }

  await page.click("[data-analyse=report]");
  await page.waitForSelector("[data-report]");
  const report = await hub.hw.headReport(model, [TEXT], { top: 0, pair: { clean: TEXT, corrupted: other, ...metric } });
  const column = (name) =>
    page.$$eval(`[data-number=${name}]`, (all) =>
      all.map((cell) => [cell.closest("tr").dataset.report, Number(cell.dataset.value)]),
    );
  for (const name of ["importance", "attribution", "patching"]) {
    await page.click(`[data-sort=${name}]`);
    const shown = await column(name);
    shown.forEach(([, value], i) => assert.ok(i === 0 || value <= shown[i - 1][1], `${name} is sorted`));
    for (const { layer, head, ...row } of report.heads) {
      near(new Map(shown).get(`${layer + 1}.${head + 1}`), row[name], `${name} of ${layer}.${head}`);
    }
  }
  await page.locator("[name=filter]").fill("2.1");
  assert.deepEqual(await page.$$eval("[data-report]", (all) => all.map(({ dataset }) => dataset.report)), ["2.1"]);
  await page.click("[data-report='2.1'] button");
  assert.equal(await own.shown(), "2.1");
  model.dispose();

  // What was measured is of these texts and gates, and is shown with these alone.
  const results = () => page.$$eval("[data-map], [data-report]", (all) => all.length);
  const measured = await results();
  assert.equal(measured, 3 + 1);
  await own.toggle("1.2");
  assert.equal(await results(), 0, "a head is off");
  await own.toggle("1.2");
  assert.equal(await page.$$eval("[data-map]", (all) => all.length), 3, "it is on again");
  await own.type("word9 word9 word5 word40 word41");
  assert.equal(await results(), 0, "another text");
  await own.done();
});

test("144 heads: little time beside the model's own for each letter, and only maps in view are drawn", async (t) => {
  const config = JSON.parse(await readFile(join(hub.modelFolder("gpt2"), "config.json"), "utf8"));
  const [layers, heads, width] = [12, 12, 48];
  const file = readSafetensors(await readFile(join(hub.modelFolder("gpt2"), "model.safetensors")));
  const own = await hub.openOwn();
  const { page } = own;
  const large = { ...config, n_layer: layers, n_head: heads, n_embd: width, n_inner: 2 * width };
  const old = { width: config.n_embd, inner: config.n_inner ?? 4 * config.n_embd };
  const tensors = {};
  for (const name of file.names) {
    const { shape } = file.tensor(name);
    const wide = shape.map((extent) =>
      extent === old.inner ? 2 * width : extent === 3 * old.width ? 3 * width : extent === old.width ? width : extent,
    );
    const data = Float32Array.from({ length: wide.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 12.9898) * 0.3);
    const layer = name.match(/\bh\.0\./);
    if (layer) for (let n = 0; n < layers; ++n) tensors[name.replace("h.0.", `h.${n}.`)] = { data, shape: wide };
    else if (!/\bh\.\d+\./.test(name)) tensors[name] = { data, shape: wide };
  }
  await hub.add("large", {
    "config.json": JSON.stringify(large),
    "model.safetensors": writeSafetensors(tensors, { metadata: file.metadata }),
  });
  await own.hub("large");
  const words = Array.from({ length: 24 }, (_, n) => `word${3 + n}`);
  await own.type(words.join(" "));
  assert.equal((await own.heads()).length, 144);
  const painted = await page.$$eval("[data-view=model] [data-head] canvas", (all) =>
    all.map((canvas) => [canvas.getBoundingClientRect().top - innerHeight, canvas.width !== 300]),
  );
  const drawn = painted.filter(([, drawn]) => drawn).length;
  assert.ok(drawn < 144, `${drawn} maps are drawn`);
  // Some that were near the view have moved away from it, as the text has grown.
  for (const [below, drawn] of painted)
    if (below < 0 || below > 600) assert.equal(drawn, below < 0, `${below} px below`);
  const before = await page.metrics();
  const LETTERS = 10;
  for (let n = 0; n < LETTERS; ++n) await own.type(`${words.join(" ")} word${30 + n}`);
  const after = await page.metrics();
  const own_ms = (1000 * (after.TaskDuration - before.TaskDuration)) / LETTERS;
  t.diagnostic(`144 heads, 25 tokens: ${own_ms.toFixed(1)} ms of the page's thread for a letter`);
  assert.ok(own_ms < 150, `${own_ms} ms`); // 50 ms on a machine of one's own
  await own.done();
});
