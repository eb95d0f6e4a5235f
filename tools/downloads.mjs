// What a page downloads: which files, and how much at most.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { binaries } from "./build.mjs";

/**
 * What a page may download, JavaScript and one binary: bytes, gzipped. The code that opens published models comes on demand, and that
 * of the analyses; only the script of `headwise/worker`'s worker opens models from the start. Tokenizers are not counted.
 */
export const sizeGates = {
  headwise: 112 * 1024,
  "headwise, with models": 128 * 1024,
  "headwise, with models and analyses": 160 * 1024,
  "headwise/worker": 160 * 1024,
  "headwise/worker, with models and analyses": 200 * 1024,
};

export const entries = { headwise: ["index.js"], "headwise/worker": ["worker.js", "worker-host.js"] };

/** Of modules that are imported on demand, those that a page with models needs, and one with analyses. */
const demanded = { models: /open_here|open_model|tokenizers/, analyses: /run_here|text_arguments/ };

/**
 * Names of a folder's modules that `file` imports, itself included; with `onDemand` also those that it imports later: all, or those
 * for "models" or "analyses".
 */
export async function importsOf(folder, file, { onDemand = [] } = {}, found = new Set()) {
  if (found.has(file)) return found;
  if (!existsSync(join(folder, file))) throw new Error(`${file} is imported and not there`);
  found.add(file);
  const text = await readFile(join(folder, file), "utf8");
  const imports = /\b(?:import|from)\s*(\(?)["'`]([^"'`]+)["'`]/g;
  for (const [, later, specifier] of text.matchAll(imports)) {
    if (later && onDemand !== "all" && !onDemand.some((purpose) => demanded[purpose].test(specifier))) continue;
    if (!specifier.startsWith("./")) throw new Error(`${file} imports ${specifier}, which is not in the package`);
    await importsOf(folder, specifier.slice(2), { onDemand }, found);
  }
  return found;
}

/** The modules of a page that loads an entry: without `onDemand`, before it opens a model. */
export async function modulesOf(folder, entry, { threads = true, onDemand = [] } = {}) {
  const files = [...entries[entry], ...(threads ? ["thread.js"] : [])];
  const analyses = onDemand === "all" || onDemand.includes("analyses");
  if (analyses && entry === "headwise/worker") files.push("worker-analyses.js"); // imported by its address
  const sets = await Promise.all(files.map((file) => importsOf(folder, file, { onDemand })));
  return new Set(sets.flatMap((set) => [...set]));
}

/** The binaries that a download of `sizeGates` may have: with `headwise` a page has one thread. */
export const binariesOf = (download) =>
  binaries.filter((each) => download === "headwise/worker" || !each.endsWith("threads"));

/** The files of a download of `sizeGates` with a binary. */
export async function filesOf(folder, download, binary) {
  const [entry, onDemand] = download.split(", with ");
  const options = { threads: binary.endsWith("threads"), onDemand: onDemand?.split(" and ") };
  const scripts = [...(await modulesOf(folder, entry, options))].filter((name) => !name.includes("tokenizers"));
  return [...scripts, `headwise-${binary}.wasm`];
}
