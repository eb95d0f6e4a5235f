// Opens the models of a folder, compares them with their expected.json, and writes the result into docs/models.md.
import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { load } from "../../dist/index.js";
import { table } from "../experiments/markdown.mjs";
import { readJson } from "../experiments/files.mjs";
import { root } from "../steps.mjs";

const cache = process.argv[2];
const { version } = await readJson(join(root, "package.json"));

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const differenceOf = (given, expected) => largest(Array.from(expected, (value, i) => value - given[i]));
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const same = (a, b) => a.length === b.length && Array.from(a).every((value, i) => value === b[i]);
const check = (fact, sentence) => {
  if (!fact) throw new Error(sentence);
};

/** Opens a model five times; the fastest counts. */
async function open(hw, name, dtype) {
  const times = [];
  let model;
  for (let round = 0; round < 5; round++) {
    model?.dispose();
    const start = performance.now();
    model = await hw.openModel(pathToFileURL(`${join(cache, name)}/`), { dtype });
    times.push(performance.now() - start);
  }
  return { model, expected: await readJson(join(cache, name, "expected.json")), openMs: Math.min(...times) };
}

/** Fastest of several runs. */
function fastest(rounds, work) {
  let least = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

const similarities = (rows) => Array.from({ length: rows.length / 2 }, (_, i) => dot(rows[2 * i], rows[2 * i + 1]));

/** The order of numbers: places, from the smallest on. */
const ranks = (values) => values.map((_, i) => i).sort((a, b) => values[a] - values[b]);

async function minilm(hw, dtype) {
  const { model, expected, openMs } = await open(hw, "minilm", dtype);
  const sentences = expected.pairs.flat();
  sentences.forEach((sentence, i) =>
    check(same(model.tokenizer.encode(sentence), expected.ids[i]), `other token ids of "${sentence}"`),
  );
  const { data, shape } = model.embed(sentences);
  const rows = sentences.map((_, i) => data.subarray(i * shape[1], (i + 1) * shape[1]));
  const error = largest(rows.map((row, i) => differenceOf(row, expected.embeddings[i])));
  const cosine = Math.min(...rows.map((row, i) => dot(row, expected.embeddings[i]))); // all have length 1
  const [ours, theirs] = [rows, expected.embeddings].map(similarities);
  check(dtype !== "f32" || error < 1e-5, `embeddings differ by ${error}`);
  check(cosine >= 0.999 && same(ranks(ours), ranks(theirs)), `cosine ${cosine}, or another order of similarities`);
  const ms = fastest(10, () => model.embed(sentences));
  model.dispose();
  const numbers =
    dtype === "f32"
      ? `embeddings within ${error.toExponential(1)}, similarities within ${differenceOf(ours, theirs).toExponential(1)}`
      : `cosine of each embedding at least ${cosine.toFixed(4)}, order of the similarities equal`;
  return [
    `all-MiniLM-L6-v2, ${dtype}`,
    "embeddings of ten pairs of sentences",
    `ids equal; ${numbers}`,
    `opens in ${openMs.toFixed(0)} ms; 20 sentences in ${ms.toFixed(0)} ms`,
  ];
}

async function smollm2(hw, dtype) {
  const { model, expected, openMs } = await open(hw, "smollm2", dtype);
  check(same(model.tokenizer.encode(expected.prompt), expected.ids), "other token ids of the prompt");
  const { logits } = model.forward(expected.prompt, { logits: "last" });
  const error = differenceOf(logits.data, expected.logits) / largest(expected.logits);
  const options = { maxTokens: expected.tokens.length, temperature: 0, stop: [] };
  const start = performance.now();
  const pieces = [...model.generate(expected.prompt, options)];
  const rate = (1000 * pieces.length) / (performance.now() - start);
  const first = pieces.findIndex(({ token }, i) => token !== expected.tokens[i]);
  if (dtype === "f32") {
    check(error < 1e-4, `logits differ by ${error} of the largest`);
    check(first < 0, `another token ${first}`);
    check(pieces.map(({ text }) => text).join("") === expected.text, "another greedy text");
  }
  model.dispose();
  const tokens = first < 0 ? "tokens and text equal" : `the first ${first} tokens equal`;
  return [
    `SmolLM2-135M-Instruct, ${dtype}`,
    `${pieces.length} greedy tokens`,
    `ids equal, ${tokens}; logits within ${error.toExponential(1)} of the largest`,
    `opens in ${openMs.toFixed(0)} ms (538 MB); ${rate.toFixed(0)} tokens/s`,
  ];
}

const hw = await load({ threads: 1 });
const rows = [];
for (const compare of [minilm, smollm2])
  for (const dtype of ["f32", "bf16", "int8"]) rows.push(await compare(hw, dtype));
const text = `Last run: ${new Date().toISOString().slice(0, 10)}, Headwise ${version}, one thread (${hw.info.simd}), Node.js ${process.versions.node}, ${cpus()[0].model}.

${table(["model", "what", "against float64", "time"], rows)}
`;
console.log(text);
const file = join(root, "docs/models.md");
const [begin, end] = ["<!-- evidence -->\n", "<!-- /evidence -->"];
const [before, rest] = (await readFile(file, "utf8")).split(begin);
await writeFile(file, `${before}${begin}${text}${end}${rest.split(end)[1]}`);
