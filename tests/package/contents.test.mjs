// What the tarball holds, and how much of it a page downloads.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import filePlugin from "@size-limit/file";
import sizeLimit from "size-limit";

import { binaries } from "../../tools/build.mjs";
import { binariesOf, entries, filesOf, importsOf, modulesOf, sizeGates } from "../../tools/downloads.mjs";
import { root } from "../../tools/steps.mjs";
import { makeProject, run } from "./project.mjs";

let project;
let dist;
before(async () => {
  project = await makeProject();
  dist = join(project.installed, "dist");
});
after(() => project?.remove());

test("the tarball holds the package and nothing else", async () => {
  const sources = (await readdir(join(root, "bindings/src"), { recursive: true })).filter((name) =>
    /(?<!\.d)\.ts$/.test(name),
  );
  const declarations = sources.map((name) => name.replace(/\.ts$/, ".d.ts"));
  const compiled = binaries.map((binary) => `headwise-${binary}.wasm`);
  const scripts = new Set(
    (await Promise.all(Object.keys(entries).map((entry) => modulesOf(dist, entry, { onDemand: "all" })))).flatMap(
      (set) => [...set],
    ),
  );
  const built = [...scripts, "map.js", "cli.js", ...compiled, ...declarations, "THIRD_PARTY_LICENSES.txt"].map(
    (name) => `dist/${name}`,
  );
  deepEqual(project.files, ["CHANGELOG.md", "LICENSE", "README.md", "docs/heads.md", "package.json", ...built].sort());
});

test("the command runs where the package is installed, and imports the package beside it", async () => {
  const { code, stdout, text } = await project.run(join(project.folder, "node_modules/.bin/headwise"), ["--version"]);
  equal(code, 0, text);
  ok(stdout.startsWith(`headwise/${project.manifest.version} `), stdout);
  const imports = (await readFile(join(dist, "cli.js"), "utf8")).matchAll(/\bfrom\s*["']([^"']+)["']/g);
  const others = [...imports].map(([, name]) => name).filter((name) => !name.startsWith("node:"));
  deepEqual(others, ["./index.js"]);
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
  for (const binary of binariesOf(download)) {
    test(`${download}: with ${binary} at most ${sizeGate} bytes are downloaded, gzipped`, async (t) => {
      const names = await filesOf(dist, download, binary);
      const [{ size }] = await sizeLimit([filePlugin], {
        checks: [{ files: names.map((name) => join(dist, name)), gzip: true }],
      });
      t.diagnostic(`${size} bytes`);
      ok(size > 20_000 && size <= sizeGate, `${size} bytes: ${names.join(", ")}`);
    });
  }
}

test("headwise/map: at most 4 KB, gzipped, and nothing else is downloaded", async (t) => {
  deepEqual([...(await importsOf(dist, "map.js", { onDemand: "all" }))], ["map.js"]);
  const [{ size }] = await sizeLimit([filePlugin], { checks: [{ files: [join(dist, "map.js")], gzip: true }] });
  t.diagnostic(`${size} bytes`);
  ok(size > 500 && size <= 4096, `${size} bytes`);
});

test("`npm run size` says what each part of a download costs", async () => {
  const { code, stdout, text } = await run("npm", ["run", "size"]);
  equal(code, 0, text);
  for (const download of Object.keys(sizeGates)) {
    const rows = stdout.split(`\n${download}: `)[1].split("\n\n")[0].trim().split("\n");
    const parts = rows.slice(1).map((row) => row.match(/^ *([\d.]+) KB  (.+)$/));
    for (const name of ["attention", "learning", "published models", "int8"])
      ok(parts.find(([, , part]) => part === name)?.[1] > 0, `${download}: ${name}`);
    const sum = parts.reduce((sum, [, size]) => sum + Number(size), 0);
    ok(Math.abs(sum - parseFloat(rows[0])) < 0.05 * parts.length, `${download}: ${sum} of ${rows[0]}`);
  }
});
