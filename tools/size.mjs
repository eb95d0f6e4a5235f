// `npm run size`: what a page downloads with each entry, gzipped, and what each part of Headwise adds to it.
//
// A file's bytes are shared among its modules by their length before minifying and compressing. The linker's map has the lengths of
// the binary. So a part's share is an estimate to within a few percent; the sums are exact.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { build } from "./build.mjs";
import { filesOf, sizeGates } from "./downloads.mjs";
import { main, root } from "./steps.mjs";

const binary = "relaxed";

/** The parts, by the name of an object file or the path of a module: the first that matches. */
const parts = {
  int8: /gemm_int8|quantize/,
  learning: /backward|adamw|cross_entropy|dropout|tape|learning|training|trained|heads\/(batches|importance|prun)/,
  analyses: /src\/inside|ml-|heap|is-any-array/,
  "published models": /src\/(models|files)\//,
  transformers:
    /src\/transformer\/|(activate|block|embedding|feed_forward|language_head|norm|pooler|probe|residual|transformer|transformer_run)\.cpp/,
  attention: /libheadwise_core|src\/(attention|module|heads)\//,
  "loading and arguments": /bindings\/|node_modules|build\/glue|thread/,
};
const rest = "compiler's libraries";
const partOf = (name) => Object.keys(parts).find((part) => parts[part].test(name)) ?? rest;

/** Lengths of the functions of the binary, by object file. */
async function linked() {
  const map = await readFile(join(root, `build/${binary}/headwise-${binary}.map`), "utf8");
  const found = {};
  for (const [, size, name] of map.matchAll(/^ +\S+ +[0-9a-f]+ +([0-9a-f]+) +(\S+\.o\)?):\(/gm))
    found[name] = (found[name] ?? 0) + parseInt(size, 16);
  return found;
}

/** Bytes by part. */
function share(bytes, lengths, sums = {}) {
  const total = Object.values(lengths).reduce((a, b) => a + b);
  for (const [name, length] of Object.entries(lengths)) {
    const part = partOf(name);
    sums[part] = (sums[part] ?? 0) + (bytes * length) / total;
  }
  return sums;
}

const kilobytes = (bytes) => (bytes / 1024).toFixed(1).padStart(7);

/** One row for each download: its size, its limit, and its parts. */
async function report() {
  const lengths = JSON.parse(await readFile(join(root, "build/parts.json"), "utf8"));
  lengths[`headwise-${binary}.wasm`] = await linked();
  const dist = join(root, "dist");
  const columns = [...Object.keys(parts), rest];
  for (const [download, limit] of Object.entries(sizeGates)) {
    const sums = {};
    let total = 0;
    for (const name of await filesOf(dist, download, binary)) {
      const bytes = gzipSync(await readFile(join(dist, name))).length;
      total += bytes;
      share(bytes, lengths[name], sums);
    }
    console.log(`\n${download}: ${kilobytes(total).trim()} KB of ${limit / 1024}`);
    for (const part of columns) if (sums[part]) console.log(`${kilobytes(sums[part])} KB  ${part}`);
  }
}

main(async () => {
  await build();
  await report();
});
