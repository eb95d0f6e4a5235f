// What the experiments' page says of differences: exact tests, intervals, and a method's place among random orders.
import assert from "node:assert/strict";
import { test } from "node:test";

import { permutationTest, welch } from "../../tools/experiments/compare.mjs";
import { byMethod, ranking } from "../../tools/experiments/pruned.mjs";
import { reportPruning } from "../../tools/experiments/report_pruning.mjs";
import { spread } from "../../tools/experiments/statistics.mjs";

test("permutation test: every way to deal the values out", () => {
  assert.deepEqual(permutationTest([1, 2, 3], [10, 11, 12]), { p: 0.1, least: 0.1 });
  assert.deepEqual(permutationTest([0, 0, 0, 0, 0], [1, 1, 1, 1, 1]), { p: 2 / 252, least: 2 / 252 });
  assert.equal(permutationTest([1, 2, 3], [1, 2, 3]).p, 1);
  assert.equal(permutationTest([1, 4], [2, 3, 5]).p, 0.8); // by hand: 8 of the 10 pairs are as far from their rest
});

test("Welch's interval: that of Student's t where both vary alike", () => {
  const a = spread([1, 2, 3]);
  const b = spread([4, 5, 6]);
  const { difference, low, high } = welch(a, b);
  const margin = 2.776445 * Math.sqrt(2 / 3); // t of 0.05 with 4 degrees
  assert.equal(difference, -3);
  assert.ok(Math.abs(low + 3 + margin) < 1e-3 && Math.abs(high + 3 - margin) < 1e-3, `${low} to ${high}`);
  assert.equal(welch(spread([1, 1]), spread([1, 1])), undefined, "nothing varies");
});

/** A model whose orders of removal lose so much, point by point. */
const model = (curves) => ({
  ...{ heads: 4, parameters: 10, bytes: 10, loss: 2, accuracy: 1, tuned: { loss: 2, accuracy: 1 } },
  curves: Object.entries(curves).flatMap(([method, orders]) =>
    orders.map((losses, n) => ({
      method,
      times: { milliseconds: 4 },
      points: losses.map((loss, at) => ({
        ...{ removed: at + 1, fraction: (at + 1) / 4, parameters: 5, loss, accuracy: 0.5 },
        times: { milliseconds: 3, share: 0.75 },
        ...(n === 0 && { tuned: { loss, accuracy: 0.5 } }),
      })),
    })),
  ),
});
const random = (bad) => Array.from({ length: 20 }, (_, n) => (n < bad ? [2.5, 3, 4] : [2, 2, 2.1]));
const settings = {
  ...{
    methods: ["gradient", "norm"],
    randomSeeds: Array(20).fill(0),
    limit: 0.01,
    stride: 1,
    tuneEvery: 1,
    timings: 3,
  },
  ...{ validation: { count: 2, length: 8 }, fineTuning: { steps: 1, batch: 1, optimizer: { lr: 1 } } },
};

test("a method is better than chance if it beats nearly all random orders in every model", () => {
  const found = (...bad) => ({
    settings,
    models: bad.map((count) => model({ gradient: [[2.2, 2.2, 2.2]], norm: [[3, 3, 5]], random: random(count) })),
  });
  const better = (...bad) => ranking(byMethod("text", found(...bad))).better.map(({ method }) => method);
  assert.deepEqual(better(20, 19), ["gradient"]);
  assert.deepEqual(better(20, 18), []);
});

test("ties are not the first method's", () => {
  const same = [[2, 2.5, 3]];
  const text = { settings, models: [model({ gradient: same, norm: same, random: random(20) })] };
  const page = reportPruning({ text, "two-relations": { ...text, settings: { ...settings, validation: 8 } } });
  assert.match(page, /at best 25 % of the heads can go at once \(“gradient” and “norm”\)/);
  assert.match(page, /on 16 characters of the validation chapters/);
});
