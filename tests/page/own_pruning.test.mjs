// "Your model" on the built page in Chromium: a smaller model made of the open one, against what the library makes of the same files.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { near, openHub, TEXT } from "./own.mjs";
import { darkWithReducedMotion } from "./screen.mjs";

let hub;
before(async () => (hub = await openHub(["gpt2", "bert", "vit"])));
after(() => hub?.close());

const SCORED = ["word5 word9 word5 word40 word41 word7", "word11 word3 word60"];
const JUDGED = ["word8 word9 word33 word9 word8", "word70 word71 word70"];
const nameOf = ({ layer, head }) => `${layer + 1}.${head + 1}`;
const batchOf = (tokens, predicts = true) => ({
  tokens,
  targets: Array.from(tokens, (_, i) => (predicts ? (tokens[i + 1] ?? -1) : -1)),
});
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Of the panel on an open model. */
function panelOf({ page, enter, press }) {
  const section = "[data-section=pruning]";
  const panel = {
    texts: async (scored, judged) => {
      await enter("[name=scored]", scored.join("\n"));
      await enter("[name=judged]", judged.join("\n"));
    },
    async score(method) {
      await page.select("[name=importance]", method);
      await page.click("[data-prune=score]");
      await page.waitForSelector("[data-map=importance]");
    },
    crossed: async () =>
      (await page.$eval("[data-map=importance]", ({ dataset }) => dataset.crossed)).split(" ").filter(Boolean),
    share: (percent) => enter("[name=share]", percent),
    async remove() {
      await page.click("[data-prune=remove]");
      await page.waitForSelector(`${section} [data-row=smaller], ${section} [role=status]:not(:empty)`);
      assert.equal(await panel.said(), "");
    },
    said: () => page.$eval(`${section} [role=status]`, (element) => element.textContent),
    number: async (row, metric) => {
      const text = await page.$eval(
        `${section} [data-row=${row}] [data-metric=${metric}]`,
        ({ dataset }) => dataset.value,
      );
      return text === undefined ? undefined : Number(text);
    },
    /** Every head's importance, as the map reads it out. */
    async importance(heads) {
      await page.focus("[data-map=importance] [data-matrix]");
      const values = [];
      for (const count of heads) {
        await press("Home");
        for (let head = 0; head < count; ++head) {
          values.push(await page.$eval("[data-map=importance] [data-value]", ({ dataset }) => Number(dataset.value)));
          await press("ArrowRight");
        }
        await press("ArrowDown");
      }
      return values;
    },
  };
  return panel;
}

/** Presses a button that saves a file. */
async function saved(page, name) {
  const folder = await mkdtemp(join(hub.folder, "saved-"));
  const client = await page.createCDPSession();
  await client.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  await page.click(`[data-save='${name}']`);
  while (!(await readdir(folder)).includes(name)) await sleep(50);
  const bytes = await readFile(join(folder, name));
  await rm(folder, { recursive: true });
  return bytes;
}

test("a writing model: scored by every method, pruned, measured on other text, used in the page and saved", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  const panel = panelOf(own);
  await own.hub("gpt2");
  await own.type(TEXT);
  const model = await hub.hw.openModel(await hub.filesOf("gpt2"));
  const batches = (lines) => lines.map((line) => batchOf(model.tokenizer.encode(line)));
  await panel.texts(SCORED, JUDGED);
  // A head that is off while it is measured changes nothing of it.
  await own.toggle("1.2");
  const methods = await page.$$eval("[name=importance] option", (all) => all.map(({ value }) => value));
  assert.deepEqual(methods, ["gradient", "gradient-entropy", "leave-one-out", "norm", "confidence", "random"]);
  const heads = model.config.heads.map(({ length }) => length);
  for (const method of methods) {
    await panel.score(method);
    const importance = hub.hw.headImportance(model, batches(SCORED), { method });
    (await panel.importance(heads)).forEach((value, n) => near(value, importance.flat()[n], `${method} of head ${n}`));
    for (const percent of [0, 25, 50, 90]) {
      await panel.share(percent);
      const most = heads.reduce((sum, count) => sum + count - 1, 0);
      const count = Math.min(most, Math.floor((percent / 100) * heads.reduce((sum, count) => sum + count)));
      const { removed, model: smaller } = hub.hw.pruneByImportance(model, importance, { count });
      assert.deepEqual(await panel.crossed(), removed.map(nameOf), `${method}, ${percent} %`);
      smaller.dispose();
    }
  }

  await panel.score("gradient");
  await panel.share(50);
  await panel.remove();
  const importance = hub.hw.headImportance(model, batches(SCORED), { method: "gradient" });
  const count = (await panel.crossed()).length;
  const pruned = hub.hw.pruneByImportance(model, importance, { count, batches: batches(JUDGED) });
  for (const [row, cost] of [
    ["whole", pruned.before],
    ["smaller", pruned.after],
  ]) {
    assert.equal(await panel.number(row, "parameters"), cost.parameters);
    assert.equal(await panel.number(row, "bytes"), cost.bytes);
    near(await panel.number(row, "loss"), cost.loss, `loss, ${row}`);
    assert.ok((await panel.number(row, "milliseconds")) > 0);
  }
  assert.notEqual(pruned.before.loss, pruned.after.loss);

  const bytes = await saved(page, "model.safetensors");
  assert.deepEqual(new Uint8Array(bytes), pruned.model.save()["model.safetensors"]);
  const again = await hub.hw.openModel({
    ...(await hub.filesOf("gpt2")),
    "model.safetensors": bytes,
    "config.json": await saved(page, "config.json"),
  });
  assert.deepEqual(again.config.heads, pruned.model.config.heads);
  again.dispose();

  await own.after(() => page.click("[data-prune=use]"));
  assert.equal(await own.title(), `tiny/gpt2, ${count} heads fewer`);
  assert.equal((await own.heads()).length, heads.flat().reduce((sum, n) => sum + n) - count);
  const tokens = model.tokenizer.encode(TEXT);
  await hub.compareHeads(own, pruned.model, tokens);
  const { data } = pruned.model.forward(tokens, { logits: "last" }).logits;
  assert.equal(await page.$eval("[data-next]", ({ dataset }) => Number(dataset.next)), data.indexOf(Math.max(...data)));
  await own.toggle("1.1");
  await own.toggle("1.1");
  assert.deepEqual(new Uint8Array(await saved(page, "model.safetensors")), new Uint8Array(bytes));
  await page.waitForFunction(() => !/hub=/.test(location.hash), { timeout: 5000 }); // no address names it

  // Nothing removed: nothing to compare in time.
  await panel.texts(SCORED, JUDGED);
  await panel.score("norm");
  await panel.share(0);
  await panel.remove();
  assert.equal(await panel.number("smaller", "milliseconds"), undefined);
  assert.equal(await panel.number("smaller", "loss"), await panel.number("whole", "loss"));

  // Judged on other text than scored; a result is of its texts alone.
  await panel.texts(SCORED, [...JUDGED, SCORED[1]]);
  assert.equal(await page.$("[data-section=pruning] [data-row]"), null);
  await page.click("[data-prune=remove]");
  await page.waitForFunction(
    (line) =>
      document.querySelector("[data-section=pruning] [role=status]").textContent.includes(`“${line}” is in both`),
    {},
    SCORED[1],
  );
  await panel.texts(["word5"], JUDGED);
  assert.equal(await page.$("[data-map=importance]"), null);
  await page.click("[data-prune=score]");
  await page.waitForFunction(() =>
    document.querySelector("[data-section=pruning] [role=status]").textContent.includes("two tokens"),
  );
  pruned.model.dispose();
  model.dispose();
  await own.done();
});

/** Cosines of the rows of two tensors [T, E]. */
function cosines(a, b) {
  const width = a.shape.at(-1);
  return Array.from({ length: a.data.length / width }, (_, row) => {
    const [x, y] = [a, b].map(({ data }) => Array.from(data.subarray(row * width, (row + 1) * width)));
    const dot = (p, q) => p.reduce((sum, value, i) => sum + value * q[i], 0);
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  });
}

test("an encoder: heads by what its output loses, and how alike the smaller one's is on other text", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  const panel = panelOf(own);
  await own.hub("bert");
  await own.type(TEXT);
  const model = await hub.hw.openModel(await hub.filesOf("bert"));
  const lines = (texts) => texts.map((line) => model.tokenizer.encode(line));
  const hidden = (of, options) => (tokens) => of.forward(tokens, { logits: "none", ...options }).hidden;
  await panel.texts(SCORED, JUDGED);
  await panel.score("leave-one-out");
  const heads = model.config.heads.map(({ length }) => length);
  const whole = lines(SCORED).map(hidden(model));
  const expected = heads.map((count, layer) =>
    Array.from({ length: count }, (_, head) => {
      const without = lines(SCORED).map(hidden(model, { edits: [{ layer, at: "heads", head, set: 0 }] }));
      return mean(whole.flatMap((each, n) => cosines(each, without[n]).map((cosine) => 1 - cosine)));
    }),
  );
  (await panel.importance(heads)).forEach((value, n) => near(value, expected.flat()[n], `head ${n}`));
  await panel.score("confidence");
  const batches = lines(SCORED).map((tokens) => batchOf(tokens, false));
  const importance = hub.hw.headImportance(model, batches, { method: "confidence" });
  (await panel.importance(heads)).forEach((value, n) => near(value, importance.flat()[n], `head ${n}`));
  await panel.share(40);
  await panel.remove();
  const count = (await panel.crossed()).length;
  const { model: smaller, after: cost } = hub.hw.pruneByImportance(model, importance, { count });
  const alike = mean(lines(JUDGED).flatMap((tokens) => cosines(hidden(model)(tokens), hidden(smaller)(tokens))));
  assert.ok(alike < 0.9999, `${alike}: a test that can fail`);
  near(await panel.number("smaller", "likeness"), alike, "cosine");
  assert.equal(await panel.number("smaller", "parameters"), cost.parameters);
  assert.equal(await panel.number("smaller", "bytes"), cost.bytes);
  assert.equal(await page.$("[data-section=pruning] [data-metric=loss]"), null);
  await own.after(() => page.click("[data-prune=use]"));
  await hub.compareHeads(own, smaller, model.tokenizer.encode(TEXT));
  smaller.dispose();
  model.dispose();
  await own.done();
});

test("pictures: scored on one, judged on another; the smaller model goes on with the same picture", async () => {
  const own = await hub.openOwn();
  const { page } = own;
  const panel = panelOf(own);
  await own.hub("vit");
  const paths = [];
  for (const seed of [37, 53]) {
    const png = await page.evaluate(async (seed) => {
      const canvas = new OffscreenCanvas(24, 24);
      const bytes = Uint8ClampedArray.from({ length: 4 * 24 * 24 }, (_, i) => (i % 4 === 3 ? 255 : (i * seed) % 256));
      canvas.getContext("2d").putImageData(new ImageData(bytes, 24, 24), 0, 0);
      return Array.from(new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer()));
    }, seed);
    paths.push(join(hub.folder, `picture-${seed}.png`));
    await writeFile(paths.at(-1), Uint8Array.from(png));
  }
  const choose = async (name, path) => (await page.$(`[name=${name}]`)).uploadFile(path);
  await choose("picture", paths[0]);
  await page.waitForSelector("[data-patch]");
  await page.waitForSelector("[data-section=pruning]");
  await panel.score("leave-one-out");
  const status = (words) =>
    page.waitForFunction(
      (words) => document.querySelector("[data-section=pruning] [role=status]").textContent.includes(words),
      {},
      words,
    );
  await page.click("[data-prune=remove]");
  await status("another picture");
  await choose("judged", paths[0]);
  await status("");
  await page.click("[data-prune=remove]");
  await status("another picture");
  await choose("judged", paths[1]);
  await page.waitForFunction(() => !document.querySelector("[data-section=pruning] [role=status]").textContent);
  await panel.remove();

  const names = ["config.json", "model.safetensors", "preprocessor_config.json"];
  const files = await Promise.all(
    names.map(async (name) => [name, await readFile(join(hub.modelFolder("vit"), name))]),
  );
  const model = await hub.hw.openModel(Object.fromEntries(files));
  const heads = {};
  for (const name of await panel.crossed()) {
    const [layer, head] = name.split(".").map((each) => each - 1);
    (heads[layer] ??= []).push(head);
  }
  const smaller = model.prune(heads);
  const image = {
    data: Uint8Array.from({ length: 4 * 24 * 24 }, (_, i) => (i % 4 === 3 ? 255 : (i * 53) % 256)),
    ...{ width: 24, height: 24 },
  };
  const [before, after] = [model, smaller].map((of) => of.forward({ pixels: model.pixels(image) }).hidden);
  near(await panel.number("smaller", "likeness"), mean(cosines(before, after)), "cosine");
  assert.equal(await panel.number("smaller", "parameters"), smaller.parameterCount);
  await page.click("[data-prune=use]");
  await page.waitForFunction(
    (count) => document.querySelectorAll("[data-view=model] [data-head]").length === count,
    {},
    smaller.config.heads.flat().length,
  );
  await own.settled();
  assert.equal(await page.$eval(".picture canvas", ({ width }) => width), 24, "the picture is still there");
  smaller.dispose();
  model.dispose();
  await own.done();
});

test("it can be stopped, and at 320 pixels in the dark nothing scrolls sideways", async () => {
  const own = await hub.openOwn({ width: 320, features: darkWithReducedMotion });
  const { page } = own;
  const panel = panelOf(own);
  await page.click("[data-action=moby]");
  await own.opened("Moby Dick, letter by letter");
  await own.settled();
  const long = Array.from({ length: 40 }, (_, n) => `the whale and the sea and the ship, line ${n}, `.repeat(6));
  await panel.texts(long, ["Call me Ishmael."]);
  await page.select("[name=importance]", "leave-one-out");
  await page.click("[data-prune=score]");
  await page.waitForFunction(() => document.querySelector("[data-section=pruning] progress")?.value > 0);
  await page.click("[data-section=pruning] [data-action=stop]");
  await page.waitForSelector("[data-section=pruning] progress", { hidden: true });
  assert.equal(await page.$("[data-map=importance]"), null);
  assert.equal(await panel.said(), "");
  await panel.texts(["The whale is white."], ["Call me Ishmael."]);
  await panel.score("norm");
  await panel.remove();
  assert.equal(await own.overflow(), 0);
  assert.deepEqual(await page.$$eval("[data-save]", (all) => all.map(({ dataset }) => dataset.save)), [
    "model.safetensors",
  ]);
  const smaller = hub.hw.loadTransformer(await saved(page, "model.safetensors"));
  assert.equal(smaller.parameterCount, await panel.number("smaller", "parameters"));
  smaller.dispose();
  await own.done();
});
