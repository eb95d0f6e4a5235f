// The heads of a sentence on the built page in Chromium: what stands on the screen against the library's own results;
// keyboard and pointer, gates, causality, latest input, long input.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { compareCards, loadOracle, OPEN, SENTENCE, TOLERANCE } from "./oracle.mjs";
import { openSite } from "./screen.mjs";

let site, oracle;

before(async () => {
  site = await openSite();
  oracle = await loadOracle(site.url);
});

after(async () => {
  await site?.close();
  oracle?.dispose();
});

test("a typed sentence: every card's numbers are the library's", async () => {
  const screen = await site.open();
  await screen.type(SENTENCE);
  const expected = oracle.compute(SENTENCE);
  assert.equal(await screen.metric("tokens"), expected.tokens.length);
  await compareCards(screen, expected);
  assert.ok((await screen.number("[data-metric=milliseconds]", "value")) > 0);
  assert.ok((await screen.number("[data-metric=threads]", "value")) >= 1);
  await screen.done();
});

test("by keyboard alone: a head is locked, its cells read out, and unlocked", async () => {
  const screen = await site.open();
  await screen.type(SENTENCE);
  const { tokens, heads } = oracle.compute(SENTENCE);
  const T = tokens.length;
  const labels = tokens.map(({ piece }) => piece.replace("▁", ""));

  await screen.tabTo("[data-head='3'] button");
  assert.equal(await screen.shown(), "3", "focus previews");
  await screen.press("Enter");
  assert.equal(await screen.attribute("[data-head='3'] button", "aria-pressed"), "true");
  await screen.tabTo("[data-matrix=weights]");
  assert.equal(await screen.shown(), "3", "the locked head stays");

  // To the first cell, then row by row in a snake over all of them.
  for (let i = 0; i < T; ++i) await screen.press("ArrowUp");
  await screen.press("Home");
  for (let i = 0; i < T; ++i) {
    for (let step = 0; step < T; ++step) {
      const j = i % 2 ? T - 1 - step : step;
      const weight = heads[2].weights[i * T + j];
      const cell = await screen.cell();
      assert.ok(Math.abs(cell.value - weight) < TOLERANCE, `${cell.text}: expected ${weight}`);
      assert.equal(cell.text, `query '${labels[i]}' → key '${labels[j]}': ${cell.value.toFixed(2)}, head 3`);
      if (step < T - 1) await screen.press(i % 2 ? "ArrowLeft" : "ArrowRight");
    }
    await screen.press("ArrowDown");
  }

  for (const [kind, width] of [
    ["values", 64],
    ["contributions", 512],
  ]) {
    await screen.tabTo(`[data-matrix=${kind}]`);
    await screen.press("Home");
    await screen.press("ArrowUp"); // from the last row
    for (const column of [0, 1, width - 1]) {
      if (column === width - 1) await screen.press("End");
      else if (column > 0) await screen.press("ArrowRight");
      const cell = await screen.cell();
      const value = heads[2][kind][(T - 2) * width + column];
      assert.ok(Math.abs(cell.value - value) < 10 * TOLERANCE, `${cell.text}: expected ${value}`);
      assert.match(cell.text, new RegExp(`of '${labels[T - 2]}', feature ${column + 1}: −?\\d+\\.\\d\\d, head 3$`));
    }
    await screen.press("ArrowDown");
  }

  await screen.press("Escape");
  assert.equal(await screen.attribute("[data-head='3'] button", "aria-pressed"), "false");
  await screen.done();
});

test("hover previews, a click locks, leaving goes back to the locked head", async () => {
  const screen = await site.open();
  await screen.page.hover("[data-head='2'] .map");
  assert.equal(await screen.shown(), "2");
  await screen.page.click("[data-head='4'] .map");
  await screen.page.hover("[data-head=single] .map");
  assert.equal(await screen.shown(), "single");
  await screen.page.hover("h1");
  assert.equal(await screen.shown(), "4");
  await screen.page.hover("[data-token='2']");
  assert.match((await screen.cell()).text, /^query 'sat' → /);
  await screen.done();
});

test("gates: the output's change per token, and the shares of the heads that are left", async () => {
  const screen = await site.open();
  await screen.type(SENTENCE);
  for (const gates of [
    [1, 0, 1, 1],
    [1, 0, 1, 0],
    [0, 0, 0, 0],
  ]) {
    await screen.toggleTo(gates);
    const expected = oracle.compute(SENTENCE, { gates });
    const change = await screen.changes();
    assert.equal(change.length, expected.change.length);
    change.forEach((value, t) => assert.ok(Math.abs(value - expected.change[t]) < TOLERANCE, `token ${t}: ${value}`));
    assert.ok(change.every((value) => value > 1e-3));
    await compareCards(screen, expected);
    const shut = await screen.page.$$eval("[data-head]", (cards) => cards.map((card) => card.matches(".shut")));
    assert.deepEqual(
      shut,
      [...gates.map((gate) => gate === 0), false],
      "cards that are struck out; the wide head never",
    );
    const states = await screen.page.$$eval("[data-head] label .wide", (all) =>
      all.map(({ textContent }) => textContent),
    );
    assert.deepEqual(
      states,
      gates.map((gate) => (gate === 0 ? "Off" : "On")),
    );
  }
  await screen.toggleTo(OPEN);
  assert.ok((await screen.changes()).every((value) => value === 0));
  await screen.done();
});

test("causal: masked cells say so, and the numbers are those of masked attention", async () => {
  const screen = await site.open();
  await screen.type(SENTENCE);
  await screen.after(() => screen.page.click("[data-switch=causal]"));
  const expected = oracle.compute(SENTENCE, { causal: true });
  await compareCards(screen, expected);
  const T = expected.tokens.length;
  await screen.page.focus("[data-matrix=weights]");
  for (let i = 0; i < T; ++i) await screen.press("ArrowUp");
  for (let i = 0; i < T; ++i) {
    // The diagonal, which is not masked, between its neighbours.
    await screen.press("Home");
    for (let j = 0; j < i - 1; ++j) await screen.press("ArrowRight");
    for (let j = Math.max(i - 1, 0); j < Math.min(i + 2, T); ++j) {
      const { text, value } = await screen.cell();
      const weight = expected.heads[0].weights[i * T + j];
      assert.ok(Math.abs(value - weight) < TOLERANCE, `${text}: expected ${weight}`);
      assert.equal(text.split(": ")[1], `${j > i ? "masked" : weight.toFixed(2)}, head 1`, `query ${i}, key ${j}`);
      await screen.press("ArrowRight");
    }
    await screen.press("ArrowDown");
  }
  await screen.done();
});

test("latest input wins, however fast inputs change", async () => {
  const screen = await site.open();
  const long = "Every head looks at the sentence in its own way. ".repeat(12);
  const first = await screen.runs();
  await screen.page.evaluate(
    async (long, last) => {
      const field = document.querySelector("#sentence");
      for (let i = 0; i < 30; ++i) {
        field.value = i === 29 ? last : `${i} ${long}`;
        field.dispatchEvent(new Event("input"));
        await new Promise((resolve) => setTimeout(resolve, i % 3));
      }
    },
    long,
    SENTENCE,
  );
  await screen.settled();
  const expected = oracle.compute(SENTENCE);
  await compareCards(screen, expected);
  const runs = await screen.runs();
  assert.ok(runs - first < 15, `${runs - first} of 30 runs were drawn: older ones should have been dropped`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await screen.runs(), runs, "no older run arrives later");
  assert.equal(await screen.metric("tokens"), expected.tokens.length);
  await screen.done();
});

test("128 tokens and more: drawn without blocking the page", async () => {
  const screen = await site.open();
  const long = "Several readers, side by side, can look for different things at the same time. ".repeat(12);
  await screen.type(long);
  assert.equal(await screen.metric("tokens"), 128);
  await compareCards(screen, oracle.compute(long));
  await screen.page.evaluate(() => (window.observed.longest = 0));
  for (const gates of [[0, 1, 1, 1], OPEN]) await screen.toggleTo(gates);
  const longest = await screen.page.evaluate(() => window.observed.longest);
  assert.ok(longest < 200, `the longest task took ${longest} ms`);
  await screen.done();
});

test("empty input keeps the last result", async () => {
  const screen = await site.open();
  const before = await screen.cards();
  await screen.page.click("#sentence", { count: 3 });
  await screen.press("Backspace");
  assert.match(await screen.status(), /type a sentence/i);
  assert.deepEqual(await screen.cards(), before);
  await screen.type("the");
  await compareCards(screen, oracle.compute("the"));
  await screen.done();
});
