// What the tarball holds, and how much of it a page downloads.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import filePlugin from "@size-limit/file";
import sizeLimit from "size-limit";

import { binaries } from "../../tools/build.mjs";
import { root } from "../../tools/steps.mjs";
import { importsOf, makeProject, run, sizeGates } from "./project.mjs";

let project;
let dist;
before(async () => {
  project = await makeProject();
  dist = join(project.installed, "dist");
});
after(() => project?.remove());

const entries = { headwise: ["index.js"], "headwise/worker": ["worker.js", "worker-host.js"] };

/** The modules of a page that loads an entry: without `onDemand`, before it opens a model. */
async function modules(entry, { threads = true, onDemand = [] } = {}) {
  const files = [...entries[entry], ...(threads ? ["thread.js"] : [])];
  const analyses = onDemand === "all" || onDemand.includes("analyses");
  if (analyses && entry === "headwise/worker") files.push("worker-analyses.js"); // imported by its address
  const sets = await Promise.all(files.map((file) => importsOf(dist, file, { onDemand })));
  return new Set(sets.flatMap((set) => [...set]));
}

test("the tarball holds the package and nothing else", async () => {
  const sources = (await readdir(join(root, "bindings/src"), { recursive: true })).filter((name) =>
    /(?<!\.d)\.ts$/.test(name),
  );
  const declarations = sources.map((name) => name.replace(/\.ts$/, ".d.ts"));
  const compiled = binaries.map((binary) => `headwise-${binary}.wasm`);
  const scripts = new Set(
    (await Promise.all(Object.keys(entries).map((entry) => modules(entry, { onDemand: "all" })))).flatMap((set) => [
      ...set,
    ]),
  );
  const built = [...scripts, ...compiled, ...declarations, "THIRD_PARTY_LICENSES.txt"].map((name) => `dist/${name}`);
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
  }
});

test("the scripts of workers are one file each, which bundlers can make classic scripts of", async () => {
  for (const file of ["worker-host.js", "worker-analyses.js", "thread.js"])
    deepEqual([...(await importsOf(dist, file, { onDemand: "all" }))], [file]);
});

test("THIRD_PARTY_LICENSES.txt has the licence of everything that is inside", async () => {
  const text = await readFile(join(dist, "THIRD_PARTY_LICENSES.txt"), "utf8");
  const sections = new Map(text.split(/^-{80}$/m).map((part) => [part.trim().split(" ")[0], part]));
  const licenses = {
    xsimd: /BSD-3-Clause[^]*QuantStack[^]*Redistribution and use/,
    Emscripten: /MIT[^]*The Emscripten Authors[^]*Permission is hereby granted/,
    musl: /MIT[^]*Rich Felker[^]*Permission is hereby granted/,
    comlink: /Apache-2.0[^]*TERMS AND CONDITIONS/,
    "wasm-feature-detect": /Apache-2.0[^]*TERMS AND CONDITIONS/,
    "@huggingface/tokenizers": /Apache-2.0[^]*TERMS AND CONDITIONS/,
    "ml-hclust": /MIT[^]*Permission is hereby granted/,
    "ml-matrix": /MIT[^]*Permission is hereby granted/,
  };
  for (const [name, expected] of Object.entries(licenses)) match(sections.get(name) ?? `no section ${name}`, expected);
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

for (const [download, sizeGate] of Object.entries(sizeGates)) {
  // With `headwise` a page has one thread.
  for (const binary of binaries.filter((each) => download === "headwise/worker" || !each.endsWith("threads"))) {
    test(`${download}: with ${binary} at most ${sizeGate} bytes are downloaded, gzipped`, async (t) => {
      const [entry, onDemand] = download.split(", with ");
      const options = { threads: binary.endsWith("threads"), onDemand: onDemand?.split(" and ") };
      const scripts = [...(await modules(entry, options))].filter((name) => !name.includes("tokenizers"));
      const files = [...scripts, `headwise-${binary}.wasm`].map((name) => join(dist, name));
      const [{ size }] = await sizeLimit([filePlugin], { checks: [{ files, gzip: true }] });
      t.diagnostic(`${size} bytes`);
      ok(size > 20_000 && size <= sizeGate, `${size} bytes: ${scripts.join(", ")}`);
    });
  }
}
