// What the tarball holds, and how much of it a page downloads.
import { deepEqual, equal, ok } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import filePlugin from "@size-limit/file";
import sizeLimit from "size-limit";

import { binaries } from "../../tools/build.mjs";
import { root } from "../../tools/steps.mjs";
import { makeProject, run, sizeGates, staticImports } from "./project.mjs";

let project;
let dist;
before(async () => {
  project = await makeProject();
  dist = join(project.installed, "dist");
});
after(() => project?.remove());

/** The modules of a page that loads `headwise` or `headwise/worker`. */
async function modules(entry, threads = true) {
  const entries = entry === "headwise" ? ["index.js"] : ["worker.js", "worker-host.js"];
  if (threads) entries.push("thread.js");
  return new Set((await Promise.all(entries.map((file) => staticImports(dist, file)))).flatMap((set) => [...set]));
}

test("the tarball holds the package and nothing else", async () => {
  const sources = (await readdir(join(root, "bindings/src"), { recursive: true })).filter((name) =>
    /(?<!\.d)\.ts$/.test(name),
  );
  const declarations = sources.map((name) => name.replace(/\.ts$/, ".d.ts"));
  const compiled = binaries.map((binary) => `headwise-${binary}.wasm`);
  const scripts = new Set([...(await modules("headwise")), ...(await modules("headwise/worker"))]);
  const built = [...scripts, ...compiled, ...declarations].map((name) => `dist/${name}`);
  deepEqual(project.files, ["CHANGELOG.md", "LICENSE", "README.md", "docs/heads.md", "package.json", ...built].sort());
});

test("it needs nothing else, and runs nothing when it is installed", async () => {
  const installed = (await readdir(join(project.folder, "node_modules"))).filter((name) => !name.startsWith("."));
  deepEqual(installed, ["headwise"]); // and node.test.mjs runs it so
  for (const script of ["preinstall", "install", "postinstall", "prepare"]) {
    equal(project.manifest.scripts?.[script], undefined, script);
  }
  for (const name of project.files.filter((name) => /^dist\/.*js$/.test(name))) {
    const text = await readFile(join(project.installed, name), "utf8");
    ok(!text.includes("sourceMappingURL"), `${name} refers to a source map`);
    ok(!/\beval\(|\bFunction\(/.test(text), `${name} makes code from text, which a content security policy refuses`);
    ok(!/\bimport\(/.test(text), `${name} imports on demand, which service workers and Vite's workers refuse`);
  }
});

test("publint finds nothing to say", async () => {
  const args = ["node_modules/publint/src/cli.js", "run", project.tarball, "--strict"];
  const { code, text } = await run(process.execPath, args);
  ok(code === 0 && text.includes("All good!"), text);
});

test("arethetypeswrong finds nothing wrong", async () => {
  const args = ["node_modules/@arethetypeswrong/cli/dist/index.js", project.tarball, "--profile", "esm-only"];
  const { code, text } = await run(process.execPath, args);
  equal(code, 0, text);
});

test("each binary has an address of its own, for hosts that must import it", () => {
  const { resolve } = createRequire(join(project.folder, "package.json"));
  for (const binary of binaries)
    equal(resolve(`headwise/headwise-${binary}.wasm`), join(dist, `headwise-${binary}.wasm`));
});

for (const [entry, sizeGate] of Object.entries(sizeGates)) {
  for (const binary of binaries) {
    test(`${entry} with ${binary} downloads at most ${sizeGate} bytes, gzipped`, async (t) => {
      const names = [...(await modules(entry, binary.endsWith("threads"))), `headwise-${binary}.wasm`];
      const files = names.map((name) => join(dist, name));
      const [{ size }] = await sizeLimit([filePlugin], { checks: [{ files, gzip: true }] });
      t.diagnostic(`${size} bytes`);
      ok(size > 20_000 && size <= sizeGate, `${size} bytes: ${names.join(", ")}`);
    });
  }
}
