// Pruning, on the built page in Chromium, with the model that the page brings: bars, curves, loss and size against the
// library's own results, computed here in Node; the slider, methods, pause, reset, keyboard, small screens, failures.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { load, readSafetensors } from "../../dist/index.js";
import { root } from "../../tools/steps.mjs";
import { characters, evenBatches } from "../../web/src/learning/characters.mjs";
import { darkWithReducedMotion, openSite } from "./screen.mjs";

const PRUNING = "[data-section=pruning]";
const TOLERANCE = 1e-4;
const PROMPT = "The whale ";
const KEEP = { keepOnePerLayer: false };

const RANDOM_ORDERS = 20;

let site, hw, model, scoring, judging, heads, megabytes, encode, decode;

before(async () => {
  site = await openSite();
  hw = await load({ threads: 1 });
  const file = await readFile(join(root, "web/public/models/moby-dick.safetensors"));
  const text = await readFile(join(root, "web/public/models/moby-dick-validation.txt"), "utf8");
  assert.ok(file.length <= 1.5e6, `the model for the page has ${file.length} bytes`);
  megabytes = ((file.length + text.length) / 1e6).toFixed(1);
  model = hw.loadTransformer(file);
  heads = model.config.heads.flat().length;
  ({ encode, decode } = characters(readSafetensors(file).metadata.vocabulary));
  const tokens = encode(text);
  const middle = Math.floor(tokens.length / 2);
  [scoring, judging] = [tokens.subarray(0, middle), tokens.subarray(middle)].map((half) =>
    evenBatches(half, { length: 128, count: 16, batch: 8 }),
  );
});

after(async () => {
  await site?.close();
  hw?.dispose();
});

test("before it is started: a run that came with the page, at every place of the slider, and what comes", async () => {
  const screen = await openPruning();
  assert.ok((await screen.status()).includes(`${megabytes} MB`));
  const label = await screen.page.$eval(`${PRUNING} label[for=removed]`, (element) => element.textContent);
  assert.equal(label.trim(), `Heads removed: 4 of ${heads}`);
  const cached = await readConclusions(screen);
  for (const method of ["gradient", "leave-one-out", "norm", "confidence"]) {
    await screen.page.click(`${PRUNING} input[value=${method}]`);
    const importance = hw.headImportance(model, scoring, { method });
    const bars = await screen.bars();
    for (const { layer, head, value } of bars) about(value, importance[layer][head], `${method}, ${layer}.${head}`);
    const losses = lossesOf(importance);
    for (const count of [0, 4, heads]) {
      await screen.setSlider(count);
      const rows = await screen.rows();
      about(rows.method.loss, losses[count], `${method}, loss without ${count}`);
      assert.ok((await screen.text("method")).startsWith(PROMPT) && (await screen.text("method")).length > 100);
    }
  }
  await screen.setSlider(4);
  const { whole, method } = await screen.cells();
  assert.deepEqual(
    [whole.milliseconds.number, method.milliseconds.number],
    ["–", "–"],
    "times are not another machine's",
  );
  assert.match(method.bytes.number, /^\d+ kB$/);
  await screen.page.click(`${PRUNING} input[value=gradient]`);
  assert.deepEqual(await readConclusions(screen), cached);
  assert.match(cached[0], /random orders/);
  assert.equal(screen.page.workers().length, screen.workers, "nothing was computed for it");
  await screen.close();
});

test("bars, order, loss, size and conclusions are the library's, at every place of the slider", async () => {
  const screen = await openPruning();
  await screen.start();
  await screen.done();
  const importance = hw.headImportance(model, scoring, { method: "gradient" });
  const bars = await screen.bars();
  assert.equal(bars.length, heads);
  for (const { layer, head, value } of bars) near(value, importance[layer][head], `${layer}.${head}`);
  const random = Array.from({ length: RANDOM_ORDERS }, (_, seed) =>
    lossesOf(hw.headImportance(model, scoring, { method: "random", seed })),
  );
  assert.deepEqual(await readConclusions(screen), concluded(lossesOf(importance), random));

  // What the page's own numbers say: rounding may swap heads that are all but alike.
  const shown = importance.map((layer) => layer.map(() => 0));
  for (const { layer, head, value } of bars) shown[layer][head] = value;
  const turns = [...bars].sort((a, b) => a.value - b.value); // of equal ones the first goes first
  assert.deepEqual(
    bars.map(({ turn }) => turn),
    bars.map((bar) => turns.indexOf(bar) + 1),
  );
  assert.deepEqual(
    await screen.page.$$eval(`${PRUNING} details li`, (all) => all.map(({ textContent }) => textContent)),
    turns.map(({ layer, head, value }) => `Layer ${layer + 1}, head ${head + 1}: ${value.toPrecision(3)}`),
  );
  for (const count of [0, 5, heads]) {
    await screen.slideTo(count);
    const options = { ...KEEP, count, batches: judging };
    const { model: smaller, removed, before, after } = hw.pruneByImportance(model, shown, options);
    smaller.dispose();
    const now = await screen.bars();
    for (const { said, gone, head, value } of now)
      assert.equal(said, `Head ${head + 1}: ${value.toPrecision(3)}${gone ? ", removed" : ""}`);
    const gone = now.filter((bar) => bar.gone).map(({ layer, head }) => `${layer}.${head}`);
    assert.deepEqual(gone.sort(), removed.map(({ layer, head }) => `${layer}.${head}`).sort());

    const rows = await screen.rows();
    near(rows.whole.loss, before.loss, "loss of all heads");
    near(rows.method.loss, after.loss, `loss without ${count}`);
    near(rows.random.loss, random[0][count], `loss without ${count} in random order 1`);
    const losses = random.map((order) => order[count]);
    near(rows.mean.loss, mean(losses), `mean loss without ${count}`);
    assert.equal(rows.whole.bytes, before.bytes);
    assert.equal(rows.method.bytes, after.bytes);
    const cells = await screen.cells();
    const span = [Math.min(...losses), Math.max(...losses)].map((loss) => loss.toFixed(3)).join(" to ");
    assert.equal(cells.mean.loss.note, span);
    for (const row of ["whole", "method"]) {
      for (const [metric, { number, note }] of Object.entries(cells[row])) {
        const value = rows[row][metric];
        // Without a head removed there is nothing to compare times with.
        const timed = metric !== "milliseconds" || count > 0;
        assert.equal(number, timed ? formats[metric](value) : "–", `${row}, ${metric}`);
        assert.equal(note, timed ? `${((100 * value) / rows.whole[metric]).toFixed(1)} %` : "–", `${row}, ${metric}`);
      }
    }
  }
  await screen.close();
});

test("what the models write is what the library generates, and a method has its own bars", async () => {
  const screen = await openPruning();
  await screen.start();
  await screen.slideTo(3);
  const importance = hw.headImportance(model, scoring, { method: "gradient" });
  const { model: smaller } = hw.pruneByImportance(model, importance, { ...KEEP, count: 3 });
  const generated = [...smaller.generate(encode(PROMPT), { maxTokens: 160, temperature: 0.7, seed: 1 })];
  smaller.dispose();
  assert.equal(await screen.text("method"), PROMPT + decode(generated));

  const before = await screen.bars();
  await screen.page.click(`${PRUNING} input[value=norm]`);
  await screen.here();
  const norms = hw.headImportance(model, scoring, { method: "norm" });
  const after = await screen.bars();
  assert.notDeepEqual(after, before);
  for (const { layer, head, value } of after) near(value, norms[layer][head], `${layer}.${head}`);
  await screen.close();
});

test("by keyboard alone: measured, slid, another method, paused, reset", async () => {
  const screen = await openPruning();
  await screen.tabTo(`${PRUNING} [data-action=main]`);
  await screen.press("Enter");
  await screen.reaches(PRUNING, "[data-phase=running]");
  await screen.press("Enter");
  assert.equal(await screen.phase(), "paused");
  assert.match(await screen.status(), /Paused/);
  await screen.press("Enter");
  await screen.here();
  assert.ok(
    await screen.page.$eval(`${PRUNING} [data-action=main]`, (button) => button === document.activeElement),
    "the button that was pressed still has the focus",
  );
  await screen.tabTo(`${PRUNING} input[type=radio]:checked`);
  await screen.press("ArrowUp"); // round to the last one
  assert.equal(await screen.page.$eval(`${PRUNING} input[type=radio]:checked`, ({ value }) => value), "confidence");
  await screen.here();
  await screen.tabTo("#removed");
  await screen.press("End");
  assert.equal(await screen.page.$eval("#removed", ({ value }) => value), String(heads));
  await screen.press("ArrowLeft");
  await screen.here();
  assert.ok((await screen.bars()).filter(({ gone }) => gone).length === heads - 1);

  await screen.page.focus(`${PRUNING} [data-action=reset]`);
  await screen.press("Enter");
  assert.equal(await screen.phase(), "idle");
  await screen.workersAre(screen.workers);
  assert.equal(await screen.page.$eval("#removed", ({ value }) => value), "4", "what came with the page is back");
  await screen.close();
});

test("the page answers and keeps its places while heads are measured", async () => {
  const screen = await openPruning();
  await screen.page.evaluate(() => Object.assign(window.observed, { longest: 0, shift: 0 }));
  await screen.start();
  await screen.show("show");
  await screen.type("She saw the man with the telescope.");
  await screen.show("prune");
  await screen.here();
  const { longest, shift } = await screen.page.evaluate(() => window.observed);
  assert.ok(longest < 1000, `the longest task took ${longest} ms`);
  assert.ok(shift < 0.02, `layout shift ${shift}`);
  await screen.close();
});

for (const [name, features] of [
  ["light", []],
  ["dark, with reduced motion", darkWithReducedMotion],
]) {
  test(`320 pixels wide, ${name}: nothing scrolls sideways`, async () => {
    const screen = await openPruning({ width: 320, features });
    assert.equal(await screen.overflow(), 0);
    await screen.start();
    await screen.slideTo(10);
    assert.equal(await screen.overflow(), 0);
    await screen.close();
  });
}

test("a model that does not arrive is said, and can be tried again", async () => {
  const screen = await openPruning();
  await screen.page.evaluate(() => {
    const { fetch } = window;
    window.fetch = async () => {
      window.fetch = fetch;
      return new Response(null, { status: 404 });
    };
  });
  await screen.act();
  await screen.reaches(PRUNING, "[data-phase=failed]");
  assert.match(await screen.status(), /failed.*404/is);
  await screen.start();
  await screen.here();
  await screen.close();
});

/** Of a run that came with the page: another machine may round otherwise. */
function about(value, expected, what) {
  assert.ok(Math.abs(value - expected) <= 2e-3 * Math.max(1e-3, Math.abs(expected)), `${what}: ${value}, ${expected}`);
}

const readConclusions = (screen) =>
  screen.page.$$eval(`${PRUNING} [data-conclusions] p`, (all) => all.map(({ textContent }) => textContent));

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** What the page must say of the losses of the gradient's order and of random ones. */
function concluded(losses, random) {
  const area = (own) => mean(own.slice(1));
  const beaten = random.filter((own) => area(own) > area(losses)).length;
  const span = (values, format) => [...new Set([Math.min(...values), Math.max(...values)].map(format))].join(" to ");
  const verdict = beaten >= 19 ? "better than chance" : beaten <= 1 ? "worse than chance" : "not told from chance";
  return [
    `By gradient: ${verdict}. Over all numbers of heads removed the mean loss is ${area(losses).toFixed(2)}, lower than with ` +
      `${beaten} of 20 random orders (${span(random.map(area), (value) => value.toFixed(2))}).`,
    `While the loss rises by at most 1 %, without training afterwards, ${spared(losses)} of ${heads} heads can go; at random, ` +
      `${span(random.map(spared), String)}. Heads are scored on one half of the text, and the loss is measured on the other.`,
  ];
}

function near(value, expected, what) {
  assert.ok(
    Math.abs(value - expected) <= TOLERANCE * Math.max(1, Math.abs(expected)),
    `${what}: ${value}, ${expected}`,
  );
}

/** As the table shows them. */
const formats = {
  loss: (value) => value.toFixed(3),
  bytes: (value) => `${Math.round(value / 1000)} kB`,
  milliseconds: (value) => `${value.toFixed(2)} ms`,
};

/** The loss without 0, 1, … heads, in the order of their importance. */
function lossesOf(importance) {
  const order = importance.flatMap((values, layer) => values.map((value, head) => ({ layer, head, value })));
  order.sort((a, b) => a.value - b.value);
  return [0, ...order.map((_, at) => at + 1)].map((count) => {
    const gone = order.slice(0, count);
    const pruned = model.prune(
      Object.fromEntries(
        importance.map((_, layer) => [layer, gone.filter((head) => head.layer === layer).map(({ head }) => head)]),
      ),
    );
    const losses = judging.map(({ tokens, targets }) => pruned.evaluate(tokens, targets));
    pruned.dispose();
    const total = losses.reduce((sum, { count }) => sum + count, 0);
    return losses.reduce((sum, { loss, count }) => sum + loss * count, 0) / total;
  });
}

/** How many heads go before the loss is more than 1 % above that of all heads. */
function spared(losses) {
  let count = 0;
  while (count + 1 < losses.length && losses[count + 1] <= 1.01 * losses[0]) ++count;
  return count;
}

async function openPruning(options) {
  const screen = await site.open({ view: "prune", ...options });
  const { page } = screen;
  const workers = page.workers().length;
  const done = () => screen.reaches(PRUNING, "[data-phase=done]", { timeout: 120_000 });
  /** Waits until all is measured at the place where the reader is: random orders may still be missing. */
  const here = async () => {
    await page.waitForFunction(
      (section, length) => {
        const { phase } = document.querySelector(section).dataset;
        const texts = [...document.querySelectorAll(`${section} [data-text]`)];
        return phase === "failed" || texts.every(({ textContent }) => [...textContent].length === length);
      },
      { timeout: 120_000 },
      PRUNING,
      PROMPT.length + 160,
    );
    await screen.reaches(PRUNING, ":not([data-phase=failed])");
  };
  const act = () => page.$eval(`${PRUNING} [data-action=main]`, (button) => button.click());
  const setSlider = (count) =>
    page.$eval(
      "#removed",
      (slider, count) => {
        slider.value = count;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      },
      count,
    );
  return {
    ...screen,
    ...{ workers, act, done, here },
    close: screen.done,
    phase: () => page.$eval(PRUNING, (element) => element.dataset.phase),
    status: () => page.$eval(`${PRUNING} [role=status]`, (element) => element.textContent),
    async start() {
      await act();
      await screen.reaches(PRUNING, "[data-phase=running]");
    },
    setSlider,
    async slideTo(count) {
      await setSlider(count);
      await here();
    },
    bars: () =>
      page.$$eval(`${PRUNING} [data-bar]`, (elements) =>
        elements.map((element) => {
          const { dataset } = element;
          const [layer, head] = dataset.bar.split(".").map(Number);
          const said = element.querySelector(".spoken").textContent;
          return {
            layer,
            head,
            value: Number(dataset.value),
            gone: dataset.gone === "true",
            turn: Number(dataset.turn),
            said,
          };
        }),
      ),
    rows: () =>
      page.$$eval(`${PRUNING} [data-row]`, (rows) =>
        Object.fromEntries(
          rows.map((row) => [
            row.dataset.row,
            Object.fromEntries(
              [...row.querySelectorAll("[data-metric]")].map(({ dataset }) => [dataset.metric, Number(dataset.value)]),
            ),
          ]),
        ),
      ),
    cells: () =>
      page.$$eval(`${PRUNING} [data-row]`, (rows) =>
        Object.fromEntries(
          rows.map((row) => [
            row.dataset.row,
            Object.fromEntries(
              [...row.querySelectorAll("[data-metric]")].map((cell) => {
                const note = cell.querySelector("small").textContent;
                const number = cell.firstChild.textContent.trim();
                return [cell.dataset.metric, { number, note }];
              }),
            ),
          ]),
        ),
      ),
    text: (row) => page.$eval(`${PRUNING} [data-text=${row}]`, (element) => element.textContent),
  };
}
