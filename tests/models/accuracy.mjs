// What number formats lose, beside onnxruntime-web's int8 of the same weights. As a program it prints the table of docs/models.md.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-web";

import { load, readSafetensors } from "../../dist/index.js";
import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { characters, evenBatches } from "../../web/src/learning/characters.mjs";
import { decoder, encoder } from "../bench/contenders/onnx_transformers.mjs";
import { normals } from "../bench/inputs.mjs";
import { models } from "../bench/models.mjs";
import { openGolden } from "./goldens.mjs";
import { characterModel } from "./onnx_character_model.mjs";

ort.env.wasm.numThreads = 1;

/**
 * onnxruntime-web's graphs: in F32; as transformers.js's script makes them (quantize.py: int8, one scale a matrix, tables as well);
 * and with a scale for each output.
 */
const graphs = { f32: "MatMul", exported: "MatMulInteger, one scale", fine: "MatMulInteger" };
const dtypes = ["bf16", "int8"];

/** Relative: the difference's norm, beside that of the numbers of F32. */
function errorOf(found, exact) {
  let [difference, size] = [0, 0];
  for (const [n, value] of exact.entries()) {
    difference += (found[n] - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}

/** @param bytes of a graph from tokens [1, L] @returns its first output of each sequence, one behind the other */
async function runGraph(bytes, sequences) {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  const results = [];
  for (const tokens of sequences) {
    const found = await session.run({ tokens: new ort.Tensor("int32", tokens, [1, tokens.length]) });
    results.push(...found[session.outputNames[0]].data);
  }
  await session.release();
  return results;
}

/** @param run(model) numbers; @param graph(format) the peer's bytes; @param measure of numbers beside those of F32 */
async function compare({ model, run, graph, sequences, measure = errorOf }) {
  const exact = run(model);
  const found = {};
  for (const dtype of dtypes) {
    const narrow = model.convert({ dtype });
    found[dtype] = measure(run(narrow), exact);
    narrow.dispose();
  }
  for (const [name, format] of Object.entries(graphs))
    found[name] = measure(await runGraph(graph(format), sequences), exact);
  return found;
}

const someTokens = (length, { vocabSize }) => Int32Array.from({ length }, (_, n) => (7919 * n + 13) % vocabSize);

/** An encoder of ours and its hidden states, or a decoder and the logits of the last token. */
function whole(model, length) {
  const { config } = model;
  const isEncoder = config.causal === false;
  const tokens = someTokens(length, config);
  const parameters = model.parameters();
  const make = isEncoder ? encoder : decoder;
  return compare({
    model,
    run: (each) =>
      (isEncoder ? each.forward(tokens, { logits: "none" }).hidden : each.forward(tokens, { logits: "last" }).logits)
        .data,
    graph: (format) => make({ config, L: length, P: 0 }, parameters, { format, attention: "MultiHeadAttention" }),
    sequences: [tokens],
  });
}

/**
 * Random, but with what trained models have: weights with heavy tails (Student's t with 5 degrees), a few channels that norms make 8
 * times as large (Kovaleva et al. 2021, "BERT busters"), and attention that is not even.
 */
function makePeaky(model) {
  const parameters = model.parameters();
  for (const [n, [name, { data, shape }]] of Object.entries(parameters).entries()) {
    const t = (count) => {
      const [normal, squares] = [normals(n, count), normals(n + 1000, 5 * count)];
      const sum = (k) => squares.subarray(5 * k, 5 * k + 5).reduce((all, x) => all + x * x, 0);
      return normal.map((x, k) => x / Math.sqrt(sum(k) / 5));
    };
    if (name.startsWith("layers.") && shape.length === 2) {
      const spread = (/[qk]_proj/.test(name) ? 1.7 : 0.6) / Math.sqrt(shape[1]);
      data.set(t(data.length).map((value) => spread * value));
    } else if (/norm\d?\.weight$/.test(name)) {
      data.set(normals(n, data.length, 0.1).map((value, k) => (1 + value) * ([7, 101, 308].includes(k) ? 8 : 1)));
    } else if (name.endsWith(".bias")) data.set(normals(n, data.length, 0.1));
  }
  model.setParameters(parameters);
}

/** The mean loss of targets. logits: [rows, V] */
function lossOf(logits, targets, V) {
  let sum = 0;
  for (const [row, target] of targets.entries()) {
    const own = logits.slice(row * V, (row + 1) * V);
    const most = Math.max(...own);
    sum += most + Math.log(own.reduce((all, x) => all + Math.exp(x - most), 0)) - own[target];
  }
  return sum / targets.length;
}

/** The page's model of characters: its logits, and its loss on text that it was not trained on. */
async function mobyDick(hw) {
  const [file, text] = await Promise.all(
    ["moby-dick.safetensors", "moby-dick-validation.txt"].map((name) =>
      readFile(join(root, "web/public/models", name)),
    ),
  );
  const model = hw.loadTransformer(file);
  const [batch] = evenBatches(characters(readSafetensors(file).metadata.vocabulary).encode(text.toString()), {
    ...{ length: 128, count: 8, batch: 8 },
  });
  const { vocabSize: V } = model.config;
  const sequences = Array.from({ length: 8 }, (_, b) => batch.tokens.data.slice(128 * b, 128 * (b + 1)));
  const parameters = model.parameters();
  const common = {
    model,
    run: (each) => each.forward(batch.tokens, { logits: "all" }).logits.data,
    graph: (format) => characterModel(model.config, parameters, 128, format),
    sequences,
  };
  const logits = await compare(common);
  const change = (found, exact) =>
    Math.abs(lossOf(found, batch.targets.data, V) / lossOf(exact, batch.targets.data, V) - 1);
  const loss = await compare({ ...common, measure: change });
  model.dispose();
  return [
    { model: "Moby Dick, 2 layers, E128", what: "logits", ...logits },
    { model: "Moby Dick, 2 layers, E128", what: "loss", ...loss },
  ];
}

/** What is compared, one row each: relative errors by format. */
export async function accuracy() {
  await unpack();
  const hw = await load({ threads: 1 });
  const rows = [];
  try {
    const golden = await hw.openModel((await openGolden("bert-mlm")).folder);
    rows.push({ model: "tiny BERT, 3 layers, E48", what: "hidden states", ...(await whole(golden, 32)) });
    golden.dispose();
    const configOf = (name) => models.find((row) => row.name === name).config;
    const llama = hw.transformer(configOf("tiny-prefill"));
    rows.push({ model: "tiny Llama, 2 layers, E64", what: "logits", ...(await whole(llama, 32)) });
    llama.dispose();
    rows.push(...(await mobyDick(hw)));
    const minilm = hw.transformer(configOf("minilm-l6-32"));
    makePeaky(minilm);
    for (const length of [32, 128]) {
      const model = `MiniLM-L6's size, random but peaky, ${length} tokens`;
      rows.push({ model, what: "hidden states", ...(await whole(minilm, length)) });
    }
    return rows;
  } finally {
    hw.dispose();
  }
}

const percent = (share) => (share < 1e-5 ? "0" : `${(100 * share).toPrecision(2)} %`);

/** As docs/models.md has it. */
export function accuracyTable(rows) {
  const head = ["model", "of", "BF16", "int8", "onnxruntime-web's int8, as exported", "with a scale for each output"];
  const lines = rows.map(({ model, what, bf16, int8, exported, fine }) => [
    ...[model, what, percent(bf16), percent(int8)],
    ...[exported, fine].map((peer) => `${percent(peer)} (${(peer / int8).toFixed(1)}×)`),
  ]);
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

if (process.argv[1]?.endsWith("accuracy.mjs")) console.log(accuracyTable(await accuracy()));
