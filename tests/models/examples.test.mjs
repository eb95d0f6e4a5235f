// The examples as they stand, on golden models with a tokenizer of words.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { load } from "../../dist/index.js";
import { unpack } from "../../tools/goldens.mjs";
import { root, run } from "../../tools/steps.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { goldens } from "./goldens.mjs";
import { tokenizerFiles } from "./cases/word_tokenizer.mjs";

describe("examples", () => {
  let folder, hw;
  /** A golden model as a folder with a tokenizer, below the folder of the test. */
  async function modelFolder(name) {
    const target = join(folder, name);
    await cp(fileURLToPath(new URL(`${name}/`, goldens)), target, { recursive: true });
    for (const [file, bytes] of Object.entries(tokenizerFiles)) await writeFile(join(target, file), bytes);
    return target;
  }
  const example = (path, args, input = "") =>
    run(
      "bash",
      ["-c", 'printf %s "$1" | "$2" "${@:3}"', "", input, process.execPath, join(root, "examples", path), ...args],
      {
        capture: true,
      },
    );
  const sentences = ["word5 word9", "word40 word41 word42", "word5 word10 word11"];

  before(async () => {
    await unpack();
    folder = await mkdtemp(join(tmpdir(), "headwise-examples-"));
    hw = await load();
  });
  after(async () => {
    hw?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  it("heads of GPT-2 as JSON: the weights of each layer, and statistics of each head", async () => {
    const { tokens, heads, weights } = JSON.parse(
      await example("gpt2-heads/heads.mjs", [await modelFolder("gpt2"), "word3 word4 word5"]),
    );
    assert.deepEqual(tokens, ["word3", "word4", "word5"]);
    const model = await hw.openModel({
      "config.json": await readFile(join(folder, "gpt2/config.json")),
      "model.safetensors": await readFile(join(folder, "gpt2/model.safetensors")),
    });
    const { layers } = model.forward([3, 4, 5], { capture: { weights: "probabilities" } });
    assert.deepEqual(
      weights,
      layers.map(({ weights }) => Array.from(weights.data)),
    );
    assert.equal(heads.length, layers.length * model.config.numHeads);
    model.dispose();
  });

  /** The sentences in the order of a library user's own computation. */
  async function expectedOrder(target) {
    const model = await hw.openModel(new URL(`file://${target}/`));
    const { data, shape } = model.embed([sentences[0], ...sentences], { normalize: true });
    const row = (i) => data.subarray(i * shape[1], (i + 1) * shape[1]);
    const lines = sentences.map((sentence, i) => ({
      sentence,
      similarity: row(0).reduce((sum, value, j) => sum + value * row(i + 1)[j], 0),
    }));
    model.dispose();
    return lines
      .sort((a, b) => b.similarity - a.similarity)
      .map(({ sentence, similarity }) => `${similarity.toFixed(3)} ${sentence}`);
  }

  it("sentence search in Node", async () => {
    const target = await modelFolder("bert-mlm");
    const text = await example("sentence-search/search.mjs", [target, sentences[0]], sentences.join("\n"));
    assert.deepEqual(text.trim().split("\n"), await expectedOrder(target));
  });

  it("sentence search on a page", async () => {
    const expected = await expectedOrder(await modelFolder("bert-mlm"));
    const models = await serve(folder, { headers: { "Access-Control-Allow-Origin": "*" } });
    const server = await serve(root);
    const browser = await openBrowser("chromium");
    try {
      const page = await browser.page(`${server.url}examples/sentence-search/?model=${models.url}bert-mlm/`);
      const shown = await page.evaluate(
        async (query, sentences) => {
          const of = (id) => document.getElementById(id);
          const until = async (done) => {
            for (let i = 0; !done() && i < 500; i++) await new Promise((later) => setTimeout(later, 20));
          };
          await until(() => of("results").children.length > 0);
          of("sentences").value = sentences;
          of("query").value = query;
          of("results").replaceChildren();
          of("query").dispatchEvent(new Event("input"));
          await until(() => of("results").children.length > 0);
          return Array.from(of("results").children, ({ textContent }) => textContent);
        },
        sentences[0],
        sentences.join("\n"),
      );
      assert.deepEqual(shown, expected);
      // Files that a model need not have are asked for; browsers report that.
      assert.deepEqual(
        page.messages.filter((message) => !message.includes("404 (Not Found)")),
        [],
      );
    } finally {
      await browser.close();
      await server.close();
      await models.close();
    }
  });

  it("which heads find the name: what edits bring back, as a picture", async () => {
    const picture = join(folder, "heads.svg");
    const names = ["word5", "word9", "word12"];
    const target = await modelFolder("gpt2");
    const said = await example("find-the-name/find.mjs", [target, picture, ...names]);
    const svg = await readFile(picture, "utf8");
    const shown = [...svg.matchAll(/<title>layer (\d), head (\d): (-?[\d.]+) %<\/title>/g)].map(([, ...all]) =>
      all.map(Number),
    );
    assert.equal(shown.length, 12);

    const model = await hw.openModel(new URL(`file://${target}/`));
    const H = model.config.numHeads;
    const mean = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;
    const pairs = names.flatMap((a, n) => [
      [a, names[(n + 1) % 3]],
      [names[(n + 1) % 3], a],
    ]);
    const id = (word) => Number(word.slice("word".length));
    const restored = shown.map(() => []);
    for (const template of [
      (a, b, c) => `When ${a} and ${b} went to the store, ${c} gave a drink to`,
      (a, b, c) => `Then, ${a} and ${b} had a long talk, and ${c} handed a letter to`,
      (a, b, c) => `After ${a} and ${b} came home, ${c} showed the garden to`,
    ]) {
      const difference = ([a, b], third, edits, capture) => {
        const { logits, layers } = model.forward(template(a, b, third), { logits: "last", edits, capture });
        return { value: logits.data[id(a)] - logits.data[id(b)], layers };
      };
      const clean = pairs.map((pair) => difference(pair, pair[1], undefined, { heads: "values" }));
      const corrupted = pairs.map((pair) => difference(pair, pair[0]));
      const [most, least] = [clean, corrupted].map((list) => mean(list.map(({ value }) => value)));
      shown.forEach(([layer, head], n) => {
        const patched = pairs.map((pair, p) => {
          const { data, shape } = clean[p].layers[layer].heads;
          const [, length, width] = shape.slice(-3);
          const own = data.slice(head * length * width, (head + 1) * length * width);
          const set = { data: own, shape: [length, width] };
          return difference(pair, pair[0], [{ layer, at: "heads", head, set }]).value;
        });
        restored[n].push((mean(patched) - least) / (most - least));
      });
    }
    shown.forEach(([layer, head, percent], n) => {
      assert.deepEqual([layer, head], [Math.floor(n / H), n % H]);
      assert.ok(
        Math.abs(percent - 100 * mean(restored[n])) < 0.06,
        `${layer}.${head}: ${percent}, ${100 * mean(restored[n])}`,
      );
    });
    const largest = Math.max(...shown.map(([, , percent]) => Math.abs(percent)));
    assert.ok(largest > 1, "a test that can fail");
    assert.ok(said.includes(`: ${largest.toFixed(1)} %`) || said.includes(`: -${largest.toFixed(1)} %`), said);
    model.dispose();
  });

  it("pruning BERT, and saving it", async () => {
    const text = join(folder, "text.txt");
    await writeFile(text, ["word5 word9 word11 word12 word13", "word40 word41 word42 word43"].join("\n"));
    const smaller = join(folder, "smaller");
    const said = await example("prune-bert/prune.mjs", [await modelFolder("bert-mlm"), text, smaller]);
    const removed = said.match(/^removed: (.*)$/m)[1].split(" ");
    const whole = await hw.openModel(new URL(`file://${folder}/bert-mlm/`));
    const model = await hw.openModel(new URL(`file://${smaller}/`));
    const heads = (it) => it.config.heads.flat().length;
    assert.equal(removed.length, Math.floor(heads(whole) / 3));
    assert.equal(heads(model), heads(whole) - removed.length);
    const byLayer = {};
    for (const [layer, head] of removed.map((name) => name.split(".").map(Number))) (byLayer[layer] ??= []).push(head);
    const pruned = whole.prune(byLayer);
    assert.deepEqual(model.forward([3, 4, 5]).logits.data, pruned.forward([3, 4, 5]).logits.data);
    for (const each of [whole, model, pruned]) each.dispose();
  });
});
