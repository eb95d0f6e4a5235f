// tools/soak.mjs runs this: eight models are opened, used, aborted and disposed at random in four workers. Fails if memory grows
// over the last half, if it exceeds a limit, if a rejection is not handled, or if a failure is not a HeadwiseError.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { unpack } from "../../tools/goldens.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { goldens } from "../models/goldens.mjs";
import { runLane } from "./lane.mjs";

const names = ["gpt2", "llama3", "gemma2", "qwen3", "smollm3", "bert-mlm", "distilbert-cls", "modernbert-mlm"];
const limitMegabytes = 1024;
const megabytes = (bytes) => bytes / 2 ** 20;
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function readModels() {
  await unpack();
  const read = (name, file) => readFile(new URL(`${name}/${file}`, goldens));
  const files = async (name) => ({
    "config.json": await read(name, "config.json"),
    "model.safetensors": await read(name, "model.safetensors"),
    ...tokenizerFiles,
  });
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await files(name)])));
}

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } });
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
console.log(`soak: ${seconds} s, seed ${seed}`);
process.on("unhandledRejection", (error) => {
  console.error("a rejection that nobody handled:", error);
  process.exit(1);
});

const models = await readModels();
const samples = []; // resident megabytes, twice a second
const sampler = setInterval(() => {
  globalThis.gc();
  samples.push(megabytes(process.memoryUsage.rss()));
  assert.ok(samples.at(-1) < limitMegabytes, `${samples.at(-1)} MB of memory`);
}, 500);
const counts = {};
const until = performance.now() + 1000 * seconds;
await Promise.all([1, 1, 2, 2].map((threads, lane) => runLane({ models, threads, until, counts, seed: seed + lane })));
clearInterval(sampler);

console.log(counts);
const [third, fourth] = [0.5, 0.75].map((part) =>
  median(samples.slice(Math.floor(part * samples.length), Math.floor((part + 0.25) * samples.length))),
);
console.log(`memory: ${third.toFixed(0)} MB in the third quarter, ${fourth.toFixed(0)} MB in the last`);
assert.ok(fourth < 1.05 * third + 8, "memory grows over the last half");
