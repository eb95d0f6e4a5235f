// The benchmark runs and fills its report. No times are judged here.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { root } from "../../tools/steps.mjs";
import { foldersBelow, rootUrl } from "./build.mjs";
import { inside } from "./inside.mjs";
import { learning } from "./learning.mjs";
import { models } from "./models.mjs";
import { opening } from "./opening.mjs";
import { publish } from "./publish.mjs";
import { writeModels } from "./report.mjs";

const oldNode = Number.parseInt(process.versions.node) < 22; // jax-js needs a newer one

test("the benchmark of a few rows fills its report", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headwise-bench-"));
  try {
    const options = [
      "--rows",
      "tiny,decode,tiny-encoder,tiny-decoder",
      "--seconds",
      "0.05",
      "--simd",
      "simd128",
      "--no-tables",
      "--out",
      folder,
    ];
    await promisify(execFile)(process.execPath, ["tests/bench/run.mjs", ...options], { cwd: root });
    const results = JSON.parse(await readFile(join(folder, "results.json"), "utf8"));
    const { rows, models: wholeModels, limits, machine } = results;
    const run = JSON.parse(await readFile(await publish(results, folder), "utf8"));
    assert.deepEqual(
      run.rows.map(({ row }) => row),
      ["tiny, core", "tiny, block", "decode, core", "decode, block", "tiny-encoder, model", "tiny-decoder, model"],
    );
    assert.ok(
      run.rows.every(({ milliseconds, ratios }) => milliseconds > 0 && Object.values(ratios).every((n) => n > 0)),
    );
    assert.ok(run.rows.every(({ ratios }) => Object.keys(ratios).some((name) => name.startsWith("onnxruntime"))));
    const integers = wholeModels[0].records.find(
      ({ dtype, threads, overInt8 }) => dtype === "int8" && threads === 1 && overInt8,
    );
    const published = run.rows.at(-2).ratios[`${integers.name}, int8, ${integers.graph}`];
    assert.equal(published, Number(integers.overInt8.median.toPrecision(3)), "integers are beside our int8");
    assert.deepEqual(
      rows.map(({ row, kind }) => `${row} ${kind}`),
      ["tiny core", "tiny block", "decode core", "decode block"],
    );
    assert.ok(Object.values(limits).every((speed) => speed > 0) && Object.keys(limits).length === 6);
    assert.ok(machine.processor && machine.versions.length === 4);
    for (const { records } of rows) {
      const status = Object.fromEntries(records.map((record) => [`${record.name} ${record.threads}`, record.status]));
      assert.deepEqual(status, {
        "core 1": "ok",
        "core 2": "ok",
        "headwise 1": "ok",
        "headwise 2": "ok",
        "onnxruntime 1": "ok",
        "onnxruntime 2": "ok",
        "jax-js 1": oldNode ? "failed" : "ok",
        "tfjs-wasm 1": "ok",
        "plain JS 1": "ok",
      });
      assert.ok(records.every(({ status: own, median }) => own !== "ok" || median > 0));
    }
    const graphs = {
      "tiny-encoder": "MultiHeadAttention, Attention, MatMulInteger, DynamicQuantizeMatMul",
      "tiny-decoder":
        "MultiHeadAttention, GroupQueryAttention, MatMulInteger, DynamicQuantizeMatMul, MatMulNBits 8, MatMulNBits 4",
    };
    assert.deepEqual(
      wholeModels.map(({ row }) => row),
      Object.keys(graphs),
    );
    for (const { row, records } of wholeModels) {
      assert.ok(records.every(({ status, median }) => status === "ok" && median > 0));
      for (const threads of [1, 2]) {
        const here = records.filter((record) => record.threads === threads);
        const isOurs = ({ name }) => name === "headwise";
        assert.deepEqual(
          here.filter(isOurs).map(({ dtype }) => dtype),
          ["F32", "BF16", "int8"],
        );
        const peers = here.filter((record) => !isOurs(record));
        assert.equal(peers.map(({ graph }) => graph).join(", "), graphs[row]);
        assert.ok(peers.every(({ ratio }) => ratio.median > 0));
      }
    }
    const file = join(folder, "speed.md");
    await writeFile(file, "before\n<!-- models -->\nold\n<!-- /models -->\nafter\n");
    await writeModels(results, file);
    const written = await readFile(file, "utf8");
    assert.match(written, /^before\n<!-- models -->\nLast run: [^]*\n<!-- \/models -->\nafter\n$/);
    // F32, BF16 and int8 in ms, tokens a second, int8 beside ours and the peer's two, and two threads.
    const [time, times] = [String.raw`[\d.]+`, String.raw`[\d.]+×, best [\d.]+×`];
    const cells = [time, time, time, time, times, String.raw`${times} \((MatMul|Dynamic)\w+( \d)?\)`, times, times];
    assert.match(written, new RegExp(String.raw`\| tiny-decoder: [^|]* \| ${cells.join(String.raw` \| `)} \|`));
    const report = await readFile(join(folder, "results.md"), "utf8");
    assert.match(report, /\| tiny: L16 E64 H4 \| 1 \| [\d.]+, [\d.]+ \|/);
    assert.match(
      report,
      /\| tiny-encoder: 2 layers, .*, 16 tokens \| 1 \| onnxruntime, Attention \| F32 \| [\d.]+, [\d.]+ \|/,
    );
    assert.match(await readFile(join(folder, "chart.svg"), "utf8"), /^<svg .*<circle /s);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("opening a model is timed, with the numbers of the model that was written", async () => {
  const options = { folders: foldersBelow(rootUrl), simd: "simd128", threads: [1], seconds: 0.02 };
  const row = models.find(({ name }) => name === "tiny-encoder");
  const { bytes, records } = await opening(options, row);
  assert.ok(bytes > 4 * 96 * 64);
  assert.deepEqual(
    records.map(({ name, threads, median }) => [name, threads, median > 0]),
    [["headwise", 1, true]],
  );
});

test("looking inside is timed", async () => {
  const options = { folders: foldersBelow(rootUrl), simd: "simd128", threads: [1], seconds: 0.02 };
  const config = { vocabSize: 96, contextLength: 8, layers: 2, embedDim: 16, numHeads: 2, feedForwardDim: 32 };
  const folders = { ...options.folders, before: options.folders.headwise };
  const { heads, rows } = await inside({ ...options, folders }, { config, length: 5 });
  assert.equal(heads, 4);
  const [{ threads, forward, attribution, ratio, headsPerSecond, before }] = rows;
  assert.equal(threads, 1);
  for (const time of [forward.median, attribution.median, ratio.median, headsPerSecond, before.median])
    assert.ok(time > 0);
});

test("the table on learning compares and measures", async () => {
  const options = { folders: foldersBelow(rootUrl), simd: "simd128", threads: [1, 2], seconds: 0.02 };
  const model = { vocabSize: 96, contextLength: 8, layers: 2, embedDim: 16, numHeads: 2, feedForwardDim: 32 };
  const found = await learning(options, { block: { B: 2, L: 8, E: 16, H: 2 }, model, batch: 2 });
  assert.deepEqual(
    found.block.rows.map(({ threads, ratio }) => [threads, ratio.median > 0]),
    [
      [1, true],
      [2, true],
    ],
  );
  const [one, two, jax] = found.model.rows;
  for (const { name, tokensPerSecond } of [one, two]) assert.ok(name === "headwise" && tokensPerSecond > 0);
  assert.equal(jax.name, "jax-js");
  if (oldNode) return assert.ok(jax.message);
  assert.equal(jax.message, undefined); // losses agree
  assert.ok(jax.tokensPerSecond > 0 && jax.ratios.length === 2);
});
