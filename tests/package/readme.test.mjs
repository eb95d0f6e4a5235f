// The README's examples do what their comments say, and its links lead to files.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { cp, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { goldens } from "../models/goldens.mjs";
import { makeProject, nodes } from "./project.mjs";

const readme = await readFile(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, code }));
const examples = blocks.filter(({ language }) => language === "js").map(({ code }) => code);
const promisesOf = (code) => [...code.matchAll(/^console\.log\(.*\); \/\/ ([^:\n]*)/gm)].map(([, text]) => text);

let project;
before(async () => {
  project = await makeProject();
  await unpack();
  for (const name of ["bert-mlm", "gpt2"]) {
    await cp(new URL(`${name}/`, goldens), join(project.folder, name), { recursive: true });
    for (const [file, bytes] of Object.entries(tokenizerFiles))
      await writeFile(join(project.folder, name, file), bytes);
  }
});
after(() => project?.remove());

/** Runs code in the empty project, in each version of Node; returns the lines it prints. */
async function printed(code) {
  await project.write({ "example.js": code });
  const outputs = [];
  for (const { path } of await nodes()) {
    const { code: exit, stdout, text } = await project.run(path, ["example.js"]);
    equal(exit, 0, text);
    outputs.push(stdout.trim().split("\n"));
  }
  return outputs;
}

test("the example of a module", async () => {
  for (const lines of await printed(examples[0])) deepEqual(lines, promisesOf(examples[0]));
});

/** The small model knows other words, has 3 layers of 4 heads, and is in a folder. */
const small = (code, name) =>
  code
    .replace(/\{ hub: .*? \}/, `new URL("./${name}/", import.meta.url)`)
    .replace(/clean = ".*?"/, 'clean = "word5 word9 word20"')
    .replace(/" (Mary|John)"/g, (_, name) => (name === "Mary" ? '"word5"' : '"word9"'));

test("the example of attribution, on a small model", async () => {
  match(promisesOf(examples[1])[0], /^\[ 12, 12 \]$/);
  for (const lines of await printed(small(examples[1], "gpt2"))) deepEqual(lines, ["[ 3, 4 ]"]);
});

test("the example of embedding, on a small model", async () => {
  for (const [similarity] of await printed(small(examples[2], "bert-mlm"))) ok(Math.abs(similarity) <= 1, similarity);
});

test("all of its code is run: three examples, and scripts of package.json", async () => {
  const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  equal(examples.length, 3);
  for (const { language, code } of blocks) {
    if (language === "js") continue;
    for (const command of code.trim().split("\n")) ok(command.match(/^npm (\w+)/)[1] in scripts, command);
  }
});

test("its links and pictures are files of the repository, where npm finds them by `repository`", async () => {
  match(project.manifest.repository.url, /^git\+https:\/\/github\.com\/.*\.git$/);
  for (const [, address] of readme.matchAll(/\]\(([^)]*)\)/g))
    if (!address.startsWith("https://")) ok(await stat(join(root, address.split("#")[0])).catch(() => false), address);
});

test("it is short", () => ok(readme.split(/\s+/).length < 900));
