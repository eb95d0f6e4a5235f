// Each example in a copy of its folder, with the packed package installed, started by `npm start` as its reader does; on golden models
// with a tokenizer of words. Vite, Svelte and React come from this repository's own packages.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { load } from "../../dist/index.js";
import { unpack } from "../../tools/goldens.mjs";
import { root, run } from "../../tools/steps.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { goldens } from "../models/goldens.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { makeProject } from "./project.mjs";

describe("examples", () => {
  let project, folder, hw, browser;

  before(async () => {
    await unpack();
    project = await makeProject();
    ({ folder } = project);
    await cp(join(root, "examples"), join(folder, "examples"), { recursive: true });
    for (const name of await readdir(join(folder, "examples"))) {
      const packages = join(folder, "examples", name, "node_modules");
      await cp(project.installed, join(packages, "headwise"), { recursive: true });
      for (const other of [
        "vite",
        "svelte",
        "react",
        "react-dom",
        "@sveltejs",
        "@observablehq",
        "@fontsource-variable",
        ".bin",
      ])
        await symlink(join(root, "node_modules", other), join(packages, other));
    }
    hw = await load();
    browser = await openBrowser("chromium");
  });
  after(async () => {
    hw?.dispose();
    await browser?.close();
    await project?.remove();
  });

  /** A golden model as a folder with a tokenizer, below the folder of the test. */
  async function modelFolder(name) {
    const target = join(folder, name);
    await cp(fileURLToPath(new URL(`${name}/`, goldens)), target, { recursive: true });
    for (const [file, bytes] of Object.entries(tokenizerFiles)) await writeFile(join(target, file), bytes);
    return target;
  }

  /** Runs a script of an example's package.json to its end; returns what it prints. */
  const example = (name, args, { script = "start", input = "" } = {}) =>
    run("bash", ["-c", 'printf %s "$1" | npm run --silent "${@:2}"', "", input, script, "--", ...args], {
      capture: true,
      cwd: join(folder, "examples", name),
    });

  /** Starts an example that serves a page, opens it, and returns what `ready` gives once that is true. */
  async function onPage(name, ready, { query = "" } = {}) {
    const server = spawn("npm", ["start", "--silent"], { cwd: join(folder, "examples", name), detached: true });
    try {
      let said = "";
      const url = await new Promise((resolve, reject) => {
        server.stdout.on("data", (text) => {
          said += text;
          const [found] = said.replace(/\x1b\[[\d;]*m/g, "").match(/http:\/\/[\w.]+:\d+\//) ?? [];
          if (found) resolve(found);
        });
        server.on("exit", () => reject(new Error(`npm start ended: ${said}`)));
        setTimeout(() => reject(new Error(`npm start: no address in ${said}`)), 30_000).unref();
      });
      const page = await browser.page(url + query);
      const result = await page.evaluate(`(async () => {
        for (let n = 0; n < 1000; ++n) {
          const found = await (${ready})();
          if (found) return found;
          await new Promise((later) => setTimeout(later, 20));
        }
        return document.body.innerText;
      })()`);
      // Files that a model need not have are asked for; browsers report that. Vite refuses a linked package's fonts, which are not in its folder.
      assert.deepEqual(
        page.messages.filter((message) => !/404 \(Not Found\)|403 \(Forbidden\)/.test(message)),
        [],
      );
      await page.close();
      return result;
    } finally {
      process.kill(-server.pid);
    }
  }

  const sentences = ["word5 word9", "word40 word41 word42", "word5 word10 word11"];

  it("heads of GPT-2 as JSON: the weights of each layer, and statistics of each head", async () => {
    const { tokens, heads, weights } = JSON.parse(
      await example("gpt2-heads", [await modelFolder("gpt2"), "word3 word4 word5"]),
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
    const text = await example("sentence-search", [target, sentences[0]], {
      script: "search",
      input: sentences.join("\n"),
    });
    assert.deepEqual(text.trim().split("\n"), await expectedOrder(target));
  });

  it("sentence search on a page", async () => {
    const expected = await expectedOrder(await modelFolder("bert-mlm"));
    const models = await serve(folder, {
      headers: { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" },
    });
    const search = `() => {
      const of = (id) => document.getElementById(id);
      if (of("results").children.length === 0) return false;
      if (of("query").value === ${JSON.stringify(sentences[0])} && of("results").dataset.asked)
        return Array.from(of("results").children, ({ textContent }) => textContent);
      of("sentences").value = ${JSON.stringify(sentences.join("\n"))};
      of("query").value = ${JSON.stringify(sentences[0])};
      of("results").dataset.asked = "yes";
      of("results").replaceChildren();
      of("query").dispatchEvent(new Event("input"));
      return false;
    }`;
    try {
      assert.deepEqual(await onPage("sentence-search", search, { query: `?model=${models.url}bert-mlm/` }), expected);
    } finally {
      await models.close();
    }
  });

  it("attention in Node", async () => {
    assert.match(await example("node", []), /entropy[^]*without head \d: heads \d,\d,\d\n$/);
  });

  const output =
    '() => { const { textContent } = document.querySelector("output") ?? {}; return /EXPECTED/.test(textContent) && textContent; }';
  for (const [name, expected] of Object.entries({
    page: "^weights 4,8,8, [2-8] thread",
    svelte: "^4 maps",
    react: "head 4: entropy \\d",
    slide: "^length of the sum: \\d",
  })) {
    it(`the page of ${name}`, async () => {
      assert.match(await onPage(name, output.replace("EXPECTED", expected)), new RegExp(expected));
    });
  }

  it("the element headwise-map, with given weights and a model's head", async () => {
    await modelFolder("gpt2");
    const headers = { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" };
    const models = await serve(folder, { headers });
    try {
      const drawn = `() => [...document.querySelectorAll("headwise-map")].every((map) => map.shadowRoot?.querySelector("canvas")) && "drawn"`;
      assert.equal(await onPage("attention-map", drawn, { query: `?model=${models.url}gpt2/` }), "drawn");
    } finally {
      await models.close();
    }
  });

  it("an Observable notebook with a heat map: two heads, six words by six", async () => {
    const squares = '() => document.querySelectorAll("figure [aria-label=cell] rect").length';
    assert.equal(await onPage("notebook", squares), 2 * 6 * 6);
  });

  it("all of them are started here, with the package's version", async () => {
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const names = await readdir(join(root, "examples"));
    assert.deepEqual(names.sort(), [
      "attention-map",
      "find-the-name",
      "gpt2-heads",
      "node",
      "notebook",
      "page",
      "prune-bert",
      "react",
      "sentence-search",
      "slide",
      "svelte",
    ]);
    for (const name of names) {
      const { scripts, dependencies } = JSON.parse(
        await readFile(join(root, "examples", name, "package.json"), "utf8"),
      );
      assert.ok(scripts.start, name);
      assert.equal(dependencies.headwise, `^${version}`, name);
    }
  });

  it("which heads find the name: what edits bring back, as a picture", async () => {
    const picture = join(folder, "heads.svg");
    const names = ["word5", "word9", "word12"];
    const target = await modelFolder("gpt2");
    const said = await example("find-the-name", [target, picture, ...names]);
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
    const said = await example("prune-bert", [await modelFolder("bert-mlm"), text, smaller]);
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
