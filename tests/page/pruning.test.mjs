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

let site, hw, model, batches, heads, megabytes, encode, decode;

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
  batches = evenBatches(encode(text), { length: 128, count: 16, batch: 8 });
});

after(async () => {
  await site?.close();
  hw?.dispose();
});

test("before it is started, it says what comes", async () => {
  const screen = await openPruning();
  assert.ok((await screen.status()).includes(`${megabytes} MB`));
  const label = await screen.page.$eval(`${PRUNING} label[for=removed]`, (element) => element.textContent);
  assert.equal(label.trim(), `Heads removed: 0 of ${heads}`);
  await screen.close();
});

test("bars, order, loss and size are the library's, at every place of the slider", async () => {
  const screen = await openPruning();
  await screen.start();
  await screen.done();
  const importance = hw.headImportance(model, batches, { method: "gradient" });
  const bars = await screen.bars();
  assert.equal(bars.length, heads);
  for (const { layer, head, value } of bars) {
    const expected = importance[layer][head];
    assert.ok(Math.abs(value - expected) <= TOLERANCE * Math.max(1, expected), `${layer}.${head}: ${value}`);
  }

  // What the page's own numbers say: rounding may swap heads that are all but alike.
  const shown = importance.map((layer) => layer.map(() => 0));
  for (const { layer, head, value } of bars) shown[layer][head] = value;
  const turns = [...bars].sort((a, b) => a.value - b.value); // of equal ones the first goes first
  for (const bar of bars)
    assert.equal(
      bar.title,
      `Layer ${bar.layer + 1}, head ${bar.head + 1}: ${bar.value.toPrecision(3)}; goes as number ${turns.indexOf(bar) + 1}`,
    );
  for (const count of [0, 5, heads]) {
    await screen.slideTo(count);
    const { model: smaller, removed, before, after } = hw.pruneByImportance(model, shown, { ...KEEP, count, batches });
    smaller.dispose();
    const now = await screen.bars();
    for (const { said, gone, head, value } of now)
      assert.equal(said, `Head ${head + 1}: ${value.toPrecision(3)}${gone ? ", removed" : ""}`);
    const gone = now.filter((bar) => bar.gone).map(({ layer, head }) => `${layer}.${head}`);
    assert.deepEqual(gone.sort(), removed.map(({ layer, head }) => `${layer}.${head}`).sort());

    const rows = await screen.rows();
    near(rows.whole.loss, before.loss, "loss of all heads");
    near(rows.method.loss, after.loss, `loss without ${count}`);
    near(rows.random.loss, randomLoss(count), `loss without ${count} at random`);
    assert.equal(rows.whole.bytes, before.bytes);
    assert.equal(rows.method.bytes, after.bytes);
    assert.ok(rows.method.milliseconds > 0 && rows.random.milliseconds > 0);
    for (const [row, cells] of Object.entries(await screen.cells())) {
      for (const [metric, { number, percent }] of Object.entries(cells)) {
        const value = rows[row][metric];
        assert.equal(number, formats[metric](value), `${row}, ${metric}`);
        if (row === "random" && metric === "milliseconds")
          assert.match(percent, /^\d+\.\d %$/); // of another run of the whole
        else assert.equal(percent, `${((100 * value) / rows.whole[metric]).toFixed(1)} %`, `${row}, ${metric}`);
      }
    }
  }
  await screen.close();
});

test("the conclusions are those of the losses", async () => {
  const screen = await openPruning();
  await screen.start();
  await screen.done();
  const importance = (method, seed) =>
    hw.headImportance(model, batches, { method, ...(seed !== undefined && { seed }) });
  const by = spared(lossesOf(importance("gradient")));
  const atRandom = [0, 1, 2].map((seed) => spared(lossesOf(importance("random", seed)))).sort((a, b) => a - b);
  const [fewest, , most] = atRandom;
  const randomly = fewest === most ? `${fewest}` : `${fewest} to ${most}`;
  const verdict =
    by > most ? "Looking before cutting pays." : by < fewest ? "Chance chose better." : "Chance does as well.";
  const said = await screen.page.$$eval(`${PRUNING} [data-conclusions] p`, (all) =>
    all.map(({ textContent }) => textContent),
  );
  assert.deepEqual(said, [
    `By gradient, ${by} of ${heads} heads can go; at random, ${randomly}.`,
    `Can go: the loss rises by at most 1 %, without any training afterwards. ${verdict}`,
  ]);
  await screen.close();
});

test("what the models write is what the library generates, and a method has its own bars", async () => {
  const screen = await openPruning();
  await screen.start();
  await screen.done();
  await screen.slideTo(3);
  const importance = hw.headImportance(model, batches, { method: "gradient" });
  const { model: smaller } = hw.pruneByImportance(model, importance, { ...KEEP, count: 3 });
  const generated = [...smaller.generate(encode(PROMPT), { maxTokens: 160, temperature: 0.7, seed: 1 })];
  smaller.dispose();
  assert.equal(await screen.text("method"), PROMPT + decode(generated));

  const before = await screen.bars();
  await screen.page.click(`${PRUNING} input[value=norm]`);
  await screen.done();
  const norms = hw.headImportance(model, batches, { method: "norm" });
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
  await screen.done();
  assert.ok(
    await screen.page.$eval(`${PRUNING} [data-action=main]`, (button) => button === document.activeElement),
    "the button that was pressed still has the focus",
  );
  await screen.tabTo(`${PRUNING} input[type=radio]:checked`);
  await screen.press("ArrowUp"); // round to the last one
  assert.equal(await screen.page.$eval(`${PRUNING} input[type=radio]:checked`, ({ value }) => value), "confidence");
  await screen.done();
  await screen.tabTo("#removed");
  await screen.press("End");
  assert.equal(await screen.page.$eval("#removed", ({ value }) => value), String(heads));
  await screen.press("ArrowLeft");
  await screen.done();
  assert.ok((await screen.bars()).filter(({ gone }) => gone).length === heads - 1);

  await screen.page.focus(`${PRUNING} [data-action=reset]`);
  await screen.press("Enter");
  assert.equal(await screen.phase(), "idle");
  await screen.workersAre(screen.workers);
  assert.equal(await screen.page.$eval("#removed", ({ disabled }) => disabled), true);
  await screen.close();
});

test("the page answers and keeps its places while heads are measured", async () => {
  const screen = await openPruning();
  await screen.page.evaluate(() => Object.assign(window.observed, { longest: 0, shift: 0 }));
  await screen.start();
  await screen.show("show");
  await screen.type("She saw the man with the telescope.");
  await screen.done();
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
    await screen.done();
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
  await screen.done();
  await screen.close();
});

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
    const losses = batches.map(({ tokens, targets }) => pruned.evaluate(tokens, targets));
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

/** Mean over the three random orders. */
function randomLoss(count) {
  const losses = [0, 1, 2].map((seed) => {
    const importance = hw.headImportance(model, batches, { method: "random", seed });
    const { model: smaller, after } = hw.pruneByImportance(model, importance, { ...KEEP, count, batches });
    smaller.dispose();
    return after.loss;
  });
  return losses.reduce((sum, loss) => sum + loss) / losses.length;
}

async function openPruning(options) {
  const screen = await site.open({ view: "prune", ...options });
  const { page } = screen;
  const workers = page.workers().length;
  const done = () => screen.reaches(PRUNING, "[data-phase=done]", { timeout: 120_000 });
  const act = () => page.$eval(`${PRUNING} [data-action=main]`, (button) => button.click());
  return {
    ...screen,
    ...{ workers, act, done },
    close: screen.done,
    phase: () => page.$eval(PRUNING, (element) => element.dataset.phase),
    status: () => page.$eval(`${PRUNING} [role=status]`, (element) => element.textContent),
    async start() {
      await act();
      await screen.reaches(PRUNING, "[data-phase=running]");
    },
    async slideTo(count) {
      await page.$eval(
        "#removed",
        (slider, count) => {
          slider.value = count;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        },
        count,
      );
      await done();
    },
    bars: () =>
      page.$$eval(`${PRUNING} [data-bar]`, (elements) =>
        elements.map((element) => {
          const { dataset, title } = element;
          const [layer, head] = dataset.bar.split(".").map(Number);
          const said = element.querySelector(".said").textContent;
          return { layer, head, value: Number(dataset.value), gone: dataset.gone === "true", title, said };
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
                const percent = cell.querySelector("small").textContent;
                return [cell.dataset.metric, { number: cell.textContent.replace(percent, "").trim(), percent }];
              }),
            ),
          ]),
        ),
      ),
    text: (row) => page.$eval(`${PRUNING} [data-text=${row}]`, (element) => element.textContent),
  };
}
