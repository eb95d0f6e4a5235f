// What the page says of numbers, on numbers of this file's own: every sentence, every verdict.
import assert from "node:assert/strict";
import { test } from "node:test";

import { importPageCode } from "./page_code.mjs";

const { conclusionsOn } = await importPageCode("web/src/learning/prunings.ts");
const { conclusions } = await importPageCode("web/src/learning/lanes.ts");

test("pruning: how many heads can go, by a method and at random", () => {
  const removal = (...losses) => ({ losses, order: Array(losses.length - 1).fill({}) });
  const said = (chosen, random) => conclusionsOn(chosen, random, "norm");
  const rest = "Can go: the loss rises by at most 1 %, without any training afterwards.";
  const two = removal(2, 2.01, 2.02, 2.03, 1.9); // 2.02 is 1 % more, and what comes after too much is too late
  const none = removal(2, 2.03, 2, 2, 2);
  const all = removal(2, 2, 1.99, 2.01, 2.02);
  assert.deepEqual(said(two, [none, none]), [
    "By norm, 2 of 4 heads can go; at random, 0.",
    `${rest} Looking before cutting pays.`,
  ]);
  assert.deepEqual(said(two, [none, all]), [
    "By norm, 2 of 4 heads can go; at random, 0 to 4.",
    `${rest} Chance does as well.`,
  ]);
  assert.deepEqual(said(none, [all, two]), [
    "By norm, 0 of 4 heads can go; at random, 2 to 4.",
    `${rest} Chance chose better.`,
  ]);
  assert.deepEqual(said(all, []), []);
  assert.deepEqual(said(undefined, [all]), []);
});

test("one head or many: who has learnt it, and from when on", () => {
  const view = (heads, ...accuracies) => ({
    heads,
    points: accuracies.map((accuracy, n) => ({ step: 500 * (n + 1), accuracy, loss: 1 })),
  });
  const first = (...views) => conclusions(views)[0];
  const one = view(1, 0.3, 0.5);
  assert.equal(
    first(one, view(2, 0.3, 0.96), view(4, 0.7, 0.521)),
    "Splitting helps: one head has 50.0 % right; 2 heads 96.0 % and 4 heads 52.1 %.",
  );
  assert.equal(
    first(one, view(2, 0.3, 0.519), view(4, 0.9, 0.9), view(8, 1, 1)),
    "Splitting can help: one head has 50.0 % right; 2 heads 51.9 %, 4 heads 90.0 % and 8 heads 100.0 %.",
  );
  assert.equal(first(one, view(2, 0.51, 0.51)), "More heads did not help: one head has 50.0 % right; 2 heads 51.0 %.");
  assert.equal(first(one), "Right answers: one head 50.0 %.");
  assert.equal(first(view(2, 0.9), view(8, 0.8)), "Right answers: 2 heads 90.0 % and 8 heads 80.0 %.");
  assert.deepEqual(conclusions([view(2)]), []);
  const learnt = conclusions([view(1, 0.95, 0.94, 0.95), view(2, 0.96, 0.97), view(4, 0.99, 0.9)]);
  assert.deepEqual(learnt.slice(1), ["95.0 % right and more: 1 head after 1,500 steps and 2 heads after 500 steps."]);
});
