// The lock file names every package with a checksum, and no registry: the same bytes come from any mirror.
import { deepEqual, match } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";

import { root } from "../../tools/steps.mjs";

const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
const locked = Object.entries(packages).filter(([path]) => path !== "");
const paths = (condition) => locked.filter(condition).map(([path]) => path);

test("every package has a checksum", () => {
  deepEqual(
    paths(([, { integrity }]) => !/^sha(512|1)-/.test(integrity)),
    [],
  );
});

test("no package has an address", async () => {
  deepEqual(
    paths(([, { resolved }]) => resolved !== undefined),
    [],
  );
  match(await readFile(join(root, ".npmrc"), "utf8"), /^omit-lockfile-registry-resolved=true$/m); // and npm adds none
});
