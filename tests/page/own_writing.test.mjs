// "Your model" on the built page in Chromium: where a model stops writing, against the library on the same files.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openHub, TEXT } from "./own.mjs";

let hub;
before(async () => (hub = await openHub(["gpt2"])));
after(() => hub?.close());

test("writing stops at a token that ends the model's texts, and says so", async () => {
  const files = await hub.filesOf("gpt2");
  const whole = await hub.hw.openModel(files);
  const prompt = whole.tokenizer.encode(TEXT);
  const greedy = [...whole.generate(prompt, { maxTokens: 6, temperature: 0, stop: [] })];
  const end = greedy.findIndex((id, n) => n >= 2 && !greedy.slice(0, n).includes(id));
  assert.ok(end >= 2, greedy.join());
  const config = { ...JSON.parse(files["config.json"]), eos_token_id: greedy[end] };
  await hub.add("ending", { "config.json": JSON.stringify(config), "model.safetensors": files["model.safetensors"] });
  const own = await hub.openOwn();
  const { page } = own;
  await own.hub("ending");
  await own.type(TEXT);
  await own.set("temperature", 0);
  await page.click("[data-action=write]");
  await page.waitForSelector("[data-ended=true]");
  const model = await hub.hw.openModel({ ...files, "config.json": Buffer.from(JSON.stringify(config)) });
  assert.deepEqual(model.stopTokens, [greedy[end]]);
  const expected = [...model.generate(prompt, { maxTokens: 40, temperature: 0 })];
  assert.equal(expected.length, end);
  const written = await page.$$eval("[data-written]", (all) => all.map(({ dataset }) => Number(dataset.written)));
  assert.deepEqual(written, expected);
  const logits = model.forward([...prompt, ...expected], { logits: "last" }).logits.data;
  const chance = Math.exp(logits[greedy[end]]) / logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const said = await page.$eval("[data-ended]", (element) => element.textContent);
  const word = model.tokenizer.decode([greedy[end]]).trim();
  assert.equal(said, `It stopped: ${word} (${(100 * chance).toFixed(1)} %) ends the model's texts.`);
  assert.equal(await page.$eval("[data-action=write]", (element) => element.textContent), "Write");
  await own.type(`${TEXT} word3`);
  assert.equal(await page.$eval("[data-ended]", (element) => element.textContent), "");
  whole.dispose();
  model.dispose();
  await own.done();
});
