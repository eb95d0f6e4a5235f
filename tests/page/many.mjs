// The page's section "One head or many" for tests: what can be done there, and what must come out, trained here in Node.
import assert from "node:assert/strict";

import { harder, letterTest, meanFollows, without } from "../../web/src/learning/letters.mjs";
import { randomNumbers } from "../../web/src/learning/random.mjs";
import { twoRelations, twoRelationsModel, twoRelationsTraining } from "../../web/src/learning/two_relations.mjs";
import { importPageCode } from "./page_code.mjs";

export const MANY = "[data-section=many]";
export const task = twoRelations();

const { questions } = await importPageCode("web/src/learning/probe.ts");

/** Trains a model here as the page says that it does. */
export function train(hw, numHeads, { steps, seed = 1, values = [3, 5, 0, 6] }) {
  const model = hw.transformer(twoRelationsModel(task, { numHeads, seed }));
  const optimizer = hw.adamW(twoRelationsTraining.optimizer(twoRelationsTraining.learningRate(numHeads)));
  const below = randomNumbers(1000 + seed);
  try {
    for (let step = 0; step < steps; ++step) {
      const { tokens, targets } = task.batch(below, twoRelationsTraining.batch);
      model.trainStep(tokens, targets, optimizer);
    }
    const { tokens, targets } = task.testBatch();
    const found = { ...model.evaluate(tokens, targets), reads: readsOf(model, numHeads, values) };
    return { ...found, letters: lettersOf(model, numHeads) };
  } finally {
    optimizer.dispose();
    model.dispose();
  }
}

/** How far the answers follow each letter, without each of the heads. */
function lettersOf(model, numHeads) {
  const { tokens, follows } = letterTest(task, 8);
  const run = (edits) => follows(model.forward(tokens, { logits: "last", edits }).logits);
  const off = Array.from({ length: numHeads }, (_, head) => run(without(head)));
  return { all: meanFollows(run([])), off: off.map(meanFollows), ...harder(off) };
}

/** Mean weight of each head on the first and on the second key asked for, over all questions on these values. */
function readsOf(model, numHeads, values) {
  const reads = Array.from({ length: numHeads }, () => ({ first: 0, second: 0 }));
  for (const { token, first, second } of questions) {
    const tokens = Int32Array.from([...values.map((value, key) => key * task.values + value), token]);
    const { data } = model.forward(tokens, { capture: { weights: "probabilities" } }).layers[0].weights; // [H, L, L]
    const { length } = task;
    reads.forEach((read, head) => {
      const row = (head * length + length - 1) * length;
      read.first += data[row + first] / questions.length;
      read.second += data[row + second] / questions.length;
    });
  }
  return reads;
}

/** A page with these head counts chosen, and what tests do in the section. */
export async function openMany(site, headCounts, options) {
  const screen = await site.open({ view: "train", ...options });
  const { page } = screen;
  for (const heads of [1, 2, 4, 8]) {
    const selector = `[data-heads='${heads}']`;
    const checked = await page.$eval(selector, (input) => input.checked);
    if (checked !== headCounts.includes(heads)) await page.click(selector);
  }
  const workers = page.workers().length;
  const press = (action) => page.$eval(`${MANY} [data-action=${action}]`, (button) => button.click());
  const phase = () => page.$eval(MANY, (element) => element.dataset.phase);
  return {
    ...screen,
    workers,
    phase,
    act: () => press("main"),
    status: () => page.$eval(`${MANY} [role=status]`, (element) => element.textContent),
    async start() {
      await press("main");
      assert.equal(await phase(), "running");
    },
    async pause() {
      await press("main");
      assert.equal(await phase(), "paused");
      // The slice under way comes to its end.
      let [before, now] = [undefined, await steps(page)];
      while (before !== now) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        [before, now] = [now, await steps(page)];
      }
    },
    async reset() {
      await press("reset");
      assert.equal(await phase(), "idle");
    },
    async setSeed(seed) {
      await page.$eval(
        `${MANY} input[type=number]`,
        (input, seed) => {
          input.value = seed;
          input.dispatchEvent(new Event("change", { bubbles: true }));
        },
        seed,
      );
      assert.equal(await phase(), "idle");
    },
    /** Waits until every lane has had so many steps. */
    async trains(step) {
      await page.waitForFunction(
        (section, step) =>
          document.querySelector(section).dataset.phase === "failed" ||
          [...document.querySelectorAll("[data-lane] [data-metric=step]")].every(
            (element) => Number(element.dataset.value) >= step,
          ),
        { timeout: 120_000 },
        MANY,
        step,
      );
      await screen.reaches(MANY, ":not([data-phase=failed])");
    },
    /** Of the pairs that the heads are shown at. */
    values: () =>
      page.$$eval(`${MANY} .example li[data-key]`, (elements) => elements.map(({ dataset }) => Number(dataset.value))),
    lane: (heads) =>
      page.$eval(`[data-lane='${heads}']`, (element) => {
        const metric = (name) => element.querySelector(`[data-metric=${name}]`);
        const value = (name) => Number(metric(name).dataset.value);
        return {
          ...{ step: value("step"), loss: value("loss"), accuracy: value("accuracy") },
          shown: metric("accuracy").textContent,
          reads: [...element.querySelectorAll("figure")].map((figure) => ({
            first: Number(figure.querySelector("[data-metric=first]").dataset.value),
            second: Number(figure.querySelector("[data-metric=second]").dataset.value),
          })),
          without: [...element.querySelectorAll("figure")].map((figure) =>
            ["first", "second"].map((key) => figure.querySelector(`[data-without=${key}]`).textContent.trim()),
          ),
        };
      }),
  };
}

const steps = (page) =>
  page.$$eval("[data-lane] [data-metric=step]", (elements) => elements.map(({ dataset }) => dataset.value).join());
