// The README's examples do what it says.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { build } from "vite";

import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { goldens } from "../models/goldens.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { makeProject, nodes } from "./project.mjs";

const readme = await readFile(join(root, "README.md"), "utf8");
const examples = [...readme.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
const [nodeExample, webExample, cacheExample] = examples;
const trainingExample = examples.find((code) => code.includes("train: true"));

let project;
before(async () => (project = await makeProject()));
after(() => project?.remove());

test("the Node example prints what its comments say", async () => {
  await project.write({ "example.js": nodeExample });
  const promised = [...nodeExample.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, text]) => text);
  equal(promised.length, 2);
  for (const { path } of await nodes()) {
    const { code, stdout, text } = await project.run(path, ["example.js"]);
    equal(code, 0, text);
    const lines = stdout.trim().split("\n");
    deepEqual([lines[0], lines.at(-1)], promised);
    match(stdout, /entropy: 0\.\d+,\s+distance: \d/);
  }
});

test("the example of training prints what its comments say", async () => {
  await project.write({ "training.js": trainingExample });
  const promised = [...trainingExample.matchAll(/console\.log\(.*\); \/\/ ([^:\n]*)/g)].map(([, text]) => text);
  for (const { path } of await nodes()) {
    const { code, stdout, text } = await project.run(path, ["training.js"]);
    equal(code, 0, text);
    deepEqual(stdout.trim().split("\n"), promised);
  }
});

test("the example of a transformer prints what its comment says", async () => {
  const example = examples.find((code) => code.includes("hw.transformer"));
  await project.write({ "transformer.js": example });
  for (const { path } of await nodes()) {
    const { code, stdout, text } = await project.run(path, ["transformer.js"]);
    equal(code, 0, text);
    equal(stdout.trim(), example.match(/console\.log\(.*\); \/\/ (.*)/)[1]);
  }
});

test("the example of measuring and pruning goes on with that transformer", async () => {
  const parts = ["hw.transformer", "hw.pruneByImportance"].map((call) => examples.find((code) => code.includes(call)));
  await project.write({ "pruning.js": parts.join("\n") });
  for (const { path } of await nodes()) {
    const { code, stdout, text } = await project.run(path, ["pruning.js"]);
    equal(code, 0, text);
    match(stdout, /induction: [\s\S]*milliseconds: /);
  }
});

test("the example of a cache prints what its comment says", async () => {
  await project.write({ "cache.js": cacheExample });
  for (const { path } of await nodes()) {
    const { code, stdout, text } = await project.run(path, ["cache.js"]);
    equal(code, 0, text);
    equal(stdout.trim(), cacheExample.match(/console\.log\(.*\); \/\/ (.*)/)[1]);
  }
});

test("the examples of opened models do what their comments say, on small models", async () => {
  await unpack();
  const parts = ["MiniLM", "const gpt2", "attributeLogits"].map((name) => examples.find((code) => code.includes(name)));
  // The small model knows other words.
  parts[2] = parts[2]
    .replace(/(clean|corrupted) = ".*?"/g, '$1 = "word$1 word5 word9"')
    .replace(/" (Mary|John)"/g, '"word4"');
  const small = [];
  for (const name of ["bert-mlm", "gpt2"]) {
    await cp(new URL(`${name}/`, goldens), join(project.folder, name), { recursive: true });
    for (const [file, bytes] of Object.entries(tokenizerFiles))
      await writeFile(join(project.folder, name, file), bytes);
    small.push(`new URL("./${name}/", import.meta.url)`);
  }
  await project.write({ "models.js": parts.join("\n").replace(/\{ hub: .*? \}/g, () => small.shift()) });
  for (const { path } of await nodes()) {
    const { code, stdout, text } = await project.run(path, ["models.js"]);
    equal(code, 0, text);
    const lines = stdout.trim().split("\n");
    ok(Math.abs(Number(lines[0])) > 0);
    match(lines[1], /^\[ \d+, 6, 6 \]$/);
    match(lines[22], /^\[ 3, 4 \] \[ 3, 4 \]$/);
    match(lines[23], /^\| head \| previous .* attribution .* raises \| lowers \|$/);
    equal(lines.length, 2 + 20 + 1 + 2 + 12);
  }
});

test("the web example shows its result, with threads where the page is isolated", async () => {
  await project.write({
    "index.html":
      '<!doctype html><link rel="icon" href="data:,"><body></body><script type="module" src="/main.js"></script>',
    "main.js": webExample,
  });
  await build({ root: project.folder, configFile: false, logLevel: "error" });
  const browser = await openBrowser("chromium");
  try {
    for (const isolated of [true, false]) {
      const server = await serve(join(project.folder, "dist"), { isolated, csp: true });
      const page = await browser.page(server.url);
      const text = await page.evaluate(`new Promise((resolve) => {
        const look = () => (document.body.textContent.trim() ? resolve(document.body.textContent) : setTimeout(look, 10));
        look();
      })`);
      match(text, isolated ? /^1,2,128,32 with [2-8] thread\(s\): relaxed SIMD/ : /with 1 thread\(s\): .*Cross-Origin/);
      deepEqual(page.messages, []);
      await page.close();
      await server.close();
    }
  } finally {
    await browser.close();
  }
});
