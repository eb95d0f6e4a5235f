// What the page says of numbers, on numbers of this file's own: every sentence, every verdict.
import assert from "node:assert/strict";
import { test } from "node:test";

import { importPageCode } from "./page_code.mjs";

const { conclusionsOn } = await importPageCode("web/src/learning/prunings.ts");
const { conclusions, lesson } = await importPageCode("web/src/learning/lanes.ts");

test("pruning: a method against random orders, by the mean loss over the whole curve", () => {
  const removal = (...losses) => ({ losses, order: Array(losses.length - 1).fill({}) });
  const said = (chosen, random) => conclusionsOn(chosen, random, "norm");
  const rest = "Heads are scored on one half of the text, and the loss is measured on the other.";
  const good = removal(2, 2.01, 2.02, 2.03, 1.9); // 2.02 is 1 % more, and what comes after too much is too late
  const bad = removal(2, 2.03, 3, 3, 3);
  const all = removal(2, 2, 1.99, 2.01, 2.02);
  const times = (count, own) => Array(count).fill(own);
  assert.deepEqual(said(good, times(20, bad)), [
    "By norm: better than chance. Over all numbers of heads removed the mean loss is 1.99, lower than with 20 of 20 random " +
      "orders (2.76).",
    `While the loss rises by at most 1 %, without training afterwards, 2 of 4 heads can go; at random, 0. ${rest}`,
  ]);
  // The first head decides nothing: 1 against 0 heads is no verdict.
  const first = (random) => said(good, random)[0].split(".")[0];
  assert.equal(first([...times(19, bad), good]), "By norm: better than chance");
  assert.equal(first([...times(18, bad), ...times(2, good)]), "By norm: not told from chance");
  assert.equal(first([...times(2, bad), ...times(18, good)]), "By norm: not told from chance");
  assert.deepEqual(said(bad, times(20, all)), [
    "By norm: worse than chance. Over all numbers of heads removed the mean loss is 2.76, lower than with 0 of 20 random " +
      "orders (2.00).",
    `While the loss rises by at most 1 %, without training afterwards, 0 of 4 heads can go; at random, 4. ${rest}`,
  ]);
  assert.match(said(good, [bad, all])[0], /with 2 of 2 random orders \(2\.00 to 2\.76\)/);
  assert.match(said(good, [bad, all])[1], /at random, 0 to 4\./);
  assert.deepEqual(said(all, []), []);
  assert.deepEqual(said(undefined, [all]), []);
});

test("one head or many: the seeds decide, and one head may only need longer", () => {
  const ends = (heads, ...accuracy) => ({ heads, steps: 2000, accuracy });
  const all = [ends(1, 0.2, 0.97), ends(4, 0.95, 1)];
  assert.deepEqual(lesson(all, { ...ends(1, 1, 1), steps: 8000 }), [
    "2,000 steps are enough for 95 % right answers: 1 head with 1 of 2 seeds and 4 heads with 2 of 2 seeds.",
    "Given 4 times as many steps, one head gets there with 2 of 2: how many heads there are decides how soon the task is learnt " +
      "more than whether it is.",
  ]);
  assert.equal(
    lesson(all, { ...ends(1, 0.3, 0.97), steps: 4000 })[1],
    "Given 2 times as many steps, one head gets there with 1 of 2.",
  );
});

test("one head or many: the run on screen, and what a head that is switched off costs", () => {
  const view = (heads, accuracy, letters = null) => ({ heads, points: [{ step: 500, accuracy, loss: 1 }], letters });
  const run = "One run says little: see the other seeds.";
  assert.deepEqual(conclusions([view(1, 0.5), view(2, 0.96)], 3), [
    `This run, seed 3: 1 head 50.0 % and 2 heads 96.0 % right. ${run}`,
  ]);
  const letters = (more, less) => ({ more, less });
  const verdict = (...views) => conclusions(views, 1)[1].split(": ")[1];
  assert.equal(
    conclusions([view(1, 0.5, letters(0, 0)), view(2, 0.9, letters(0.1, 0.17)), view(4, 1, letters(0.4, 0.5))], 1)[1],
    "With one head switched off, answers still follow the letter that suffers more, and the other one, in 10 % and 17 % with " +
      "2 heads and 40 % and 50 % with 4 heads (means over heads and questions): both letters suffer without any of the heads, " +
      "whatever it looks at.",
  );
  assert.equal(verdict(view(2, 0.9, letters(0.1, 0.95))), "each head is one letter's.");
  assert.equal(
    verdict(view(2, 0.9, letters(0.1, 0.95)), view(4, 0.9, letters(0.5, 0.6))),
    "in some of the models each head is one letter's.",
  );
  assert.deepEqual(conclusions([{ heads: 2, points: [], letters: null }], 1), []);
});
