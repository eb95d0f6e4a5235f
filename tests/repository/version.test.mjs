// One version: of package.json, the lock file, the newest section of CHANGELOG.md, and what is built.
import { equal } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";

import { load } from "../../dist/index.js";
import { root } from "../../tools/steps.mjs";

const read = (file) => readFile(join(root, file), "utf8");
const { version } = JSON.parse(await read("package.json"));

test("the lock file has it", async () => {
  const lock = JSON.parse(await read("package-lock.json"));
  equal(lock.version, version);
  equal(lock.packages[""].version, version);
});

test("the newest section of CHANGELOG.md has it", async () => {
  equal((await read("CHANGELOG.md")).match(/^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$/m)?.[1], version);
});

test("CITATION.cff has it", async () => {
  equal((await read("CITATION.cff")).match(/^version: (.*)$/m)?.[1], version);
});

test("the built package has it", async () => {
  const hw = await load({ threads: 1 });
  equal(hw.info.version, version);
  hw.dispose();
});

test("addresses of the package in README and docs have it", async () => {
  const files = execFileSync("git", ["ls-files", "README.md", "docs/*.md"], { cwd: root, encoding: "utf8" });
  for (const file of files.trim().split("\n"))
    for (const [name, , found] of (await read(file)).matchAll(/headwise(@|-)(\d+\.\d+\.\d+)/g))
      equal(found, version, `${file}: ${name}`);
});
