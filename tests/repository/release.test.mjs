// `npm run version` in a copy of the files that it needs.
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { root } from "../../tools/steps.mjs";
import { nextVersion } from "../../tools/version.mjs";

const files = [
  "package.json",
  "package-lock.json",
  "CHANGELOG.md",
  "CITATION.cff",
  "README.md",
  ".changeset",
  "docs/guide",
];
let folder;
const read = (file) => readFile(join(folder, file), "utf8");
const change = (name, kind, text) =>
  writeFile(join(folder, ".changeset", name), `---\n"headwise": ${kind}\n---\n\n${text}\n`);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headwise-version-"));
  for (const file of files) await cp(join(root, file), join(folder, file), { recursive: true });
  for (const name of await readdir(join(folder, ".changeset")))
    if (name.endsWith(".md") && name !== "README.md") await rm(join(folder, ".changeset", name));
});
after(() => rm(folder, { recursive: true, force: true }));

test("changes become a section of the changelog, and the version stands everywhere", async () => {
  await change("one.md", "patch", "### Fixed\n\n- A fix.");
  await change("two.md", "minor", "### Fixed\n\n- Another fix.\n\n### Added\n\n- An addition.");
  const [major, minor] = JSON.parse(await read("package.json"))
    .version.split(".")
    .map(Number);
  await nextVersion(folder);
  const next = `${major}.${minor + 1}.0`;
  equal(JSON.parse(await read("package.json")).version, next);
  const lock = JSON.parse(await read("package-lock.json"));
  deepEqual([lock.version, lock.packages[""].version], [next, next]);
  match(await read("CITATION.cff"), new RegExp(`^version: ${next}$`, "m"));
  const section = (await read("CHANGELOG.md")).split(/^## /m)[1];
  match(
    section,
    new RegExp(`^\\[${next}\\] - \\d{4}-\\d\\d-\\d\\d\\n\\n### Added\\n\\n- An addition.\\n\\n### Fixed\\n`),
  );
  for (const line of ["- A fix.", "- Another fix."]) equal(section.split(line).length, 2);
  deepEqual((await readdir(join(folder, ".changeset"))).sort(), ["README.md", "config.json"]);
});

test("a change under no heading is refused, and nothing has changed", async () => {
  await change("three.md", "patch", "- A fix.");
  const old = await read("package.json");
  await rejects(nextVersion(folder), /under no heading: - A fix\./);
  equal(await read("package.json"), old);
});
