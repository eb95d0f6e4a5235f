// The task that the page and the experiments train: held-out cases never come in training, in any order; and the causal test of letters
// finds what a model's answers depend on.
import assert from "node:assert/strict";
import { test } from "node:test";

import { harder, letterTest, meanFollows } from "../../web/src/learning/letters.mjs";
import { randomNumbers } from "../../web/src/learning/random.mjs";
import { twoRelations } from "../../web/src/learning/two_relations.mjs";

const task = twoRelations();
const { keys, values, length } = task;

/** The values of all keys and the question, read off tokens, whatever the order of the pairs. */
function cases({ tokens }) {
  return Array.from({ length: tokens.shape[0] }, (_, row) => {
    const own = [...tokens.data.subarray(row * length, (row + 1) * length)].map(task.describe);
    const { first, second } = own.at(-1);
    const value = own.slice(0, keys).sort((a, b) => a.key - b.key);
    return [...value.map((pair) => pair.value), first, second].join();
  });
}

test("512 of 49,152 cases are held out, and training shows none of them", () => {
  assert.equal(task.cases, 49_152);
  const held = new Set(cases(task.testBatch()));
  assert.equal(held.size, 512, "each once");
  assert.deepEqual(cases(task.testBatch(64)), cases(task.testBatch()).slice(0, 64), "fewer are the first of them");
  const below = randomNumbers(1001);
  const trained = new Set(Array.from({ length: 500 }, () => cases(task.batch(below, 64))).flat());
  assert.ok(trained.size > 20_000, "training sees many of the others");
  assert.deepEqual(
    [...held].filter((each) => trained.has(each)),
    [],
  );
});

test("answers are the differences of the values in question", () => {
  for (const { tokens, targets } of [task.testBatch(), task.batch(randomNumbers(3), 200)]) {
    cases({ tokens }).forEach((text, row) => {
      const each = text.split(",").map(Number);
      const [first, second] = each.slice(-2);
      const target = targets.data.subarray(row * length, (row + 1) * length);
      assert.deepEqual([...target.subarray(0, keys)], Array(keys).fill(-1));
      assert.equal(task.describe(target[keys]).answer, (each[first] - each[second] + values) % values);
    });
  }
});

test("the causal test tells which letters an answer follows", () => {
  const { tokens, follows } = letterTest(task, 4);
  const all = cases({ tokens }).map((text) => text.split(",").map(Number));
  /** Logits of a model that gives these answers. */
  const logits = (answer) => {
    const data = new Float32Array(all.length * task.vocabSize);
    all.forEach((each, row) => {
      const [first, second] = each.slice(-2);
      data[(row + 1) * task.vocabSize - values + ((answer(each[first], each[second]) + values) % values)] = 1;
    });
    return { data, shape: [all.length, task.vocabSize] };
  };
  const found = (answer) => meanFollows(follows(logits(answer)));
  assert.deepEqual(
    found((a, b) => a - b),
    { first: 1, second: 1 },
  );
  assert.deepEqual(
    found((a) => a + 3),
    { first: 1, second: 0 },
  );
  assert.deepEqual(
    found((_, b) => 5 - b),
    { first: 0, second: 1 },
  );
  assert.deepEqual(
    found(() => 2),
    { first: 0, second: 0 },
  );
  assert.deepEqual(
    found((a, b) => a + b),
    { first: 1, second: 0 },
    "the wrong way round is not followed",
  );
  assert.equal(task.answerIn(new Float32Array(task.vocabSize).fill(1)), null, "the first token is no answer");
  const one = follows(logits((a) => a));
  assert.deepEqual(harder([one, one]), { more: 0, less: 1 });
});
