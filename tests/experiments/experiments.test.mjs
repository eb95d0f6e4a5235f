// The experiments in small: they finish, repeat bit for bit on any number of threads, and fill the page. No outcome is
// judged here.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { root } from "../../tools/steps.mjs";

let folder;
before(async () => (folder = await mkdtemp(join(tmpdir(), "headwise-experiments-"))));
after(() => rm(folder, { recursive: true }));

async function run(threads) {
  const out = join(folder, `${threads}`);
  const options = ["--quick", "--no-build", "--threads", `${threads}`, "--out", out];
  await promisify(execFile)(process.execPath, ["tools/experiments/run.mjs", ...options], { cwd: root });
  const names = (await readdir(out, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, path, name }) => join(parentPath ?? path, name).slice(out.length + 1));
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(out, name))])));
}

/** Data without what may differ: times and the machine. */
const lasting = (bytes) =>
  JSON.parse(bytes, (key, value) => (key === "times" || key === "machine" ? undefined : value));

const data = ["pruning.json", "ranking.json", "text.json", "two-relations.json"];
const figures = ["pruning-text", "pruning-two-relations", "text", "two-relations-heads", "two-relations"];

test("the experiments repeat bit for bit, and fill every table", async () => {
  const [once, again] = [await run(1), await run(2)];
  assert.deepEqual(Object.keys(once).sort(), Object.keys(again).sort());
  for (const name of data) assert.deepEqual(lasting(once[name]), lasting(again[name]), name);
  const models = Object.keys(once).filter((name) => name.endsWith(".safetensors"));
  assert.equal(models.length, 17); // 4 numbers of heads with 2 seeds, twice, and the best
  for (const name of models) assert.ok(once[name].equals(again[name]), `${name} differs`);

  for (const name of figures) assert.match(once[`${name}.svg`].toString(), /^<svg [^]*<\/svg>\n$/, name);
  const page = once["README.md"].toString();
  assert.doesNotMatch(page, /undefined|NaN|Infinity|\[object/);
  const cells = page
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .flatMap((line) => line.split("|").slice(1, -1));
  assert.ok(cells.length > 300 && cells.every((cell) => cell.trim() !== ""));
  for (const name of figures) assert.ok(page.includes(`](${name}.svg)`), name);
});
