// The benchmark runs and fills its report. No times are judged here.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { root } from "../../tools/steps.mjs";

test("the benchmark of one row fills its report", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headwise-bench-"));
  try {
    const options = ["--rows", "tiny", "--seconds", "0.05", "--simd", "simd128", "--no-tables", "--out", folder];
    await promisify(execFile)(process.execPath, ["tests/bench/run.mjs", ...options], { cwd: root });
    const { rows, limits, machine } = JSON.parse(await readFile(join(folder, "results.json"), "utf8"));
    assert.deepEqual(
      rows.map(({ row, kind }) => `${row} ${kind}`),
      ["tiny core", "tiny block"],
    );
    assert.ok(Object.values(limits).every((speed) => speed > 0) && Object.keys(limits).length === 2);
    assert.ok(machine.processor && machine.versions.length === 4);
    for (const { records } of rows) {
      const status = Object.fromEntries(records.map((record) => [`${record.name} ${record.threads}`, record.status]));
      const oldNode = Number.parseInt(process.versions.node) < 22;
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
    assert.match(await readFile(join(folder, "results.md"), "utf8"), /\| tiny: L16 E64 H4 \| 1 \| [\d.]+, [\d.]+ \|/);
    assert.match(await readFile(join(folder, "chart.svg"), "utf8"), /^<svg .*<circle /s);
  } finally {
    await rm(folder, { recursive: true });
  }
});
