// Every figure of the built page as files: their numbers are those on screen, or the library's.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { exported } from "./exported.mjs";
import { HEADS, loadOracle } from "./oracle.mjs";
import { importPageCode } from "./page_code.mjs";
import { openSite } from "./screen.mjs";

const { toCsv } = await importPageCode("web/src/figures/figure.ts");
let site, oracle;

before(async () => {
  site = await openSite();
  oracle = await loadOracle(site.url);
});
after(async () => {
  await site?.close();
  oracle?.dispose();
});

/** A figure's four files, which agree: its numbers, empty cells as NaN, and its picture in SVG. */
async function filesOf(page, selector, name) {
  const files = {};
  for (const format of ["csv", "json", "svg", "png"]) {
    files[format] = await exported(page, selector, format);
    assert.equal(files[format].name, `${name}.${format}`);
  }
  const { title, rows, columns, cells } = JSON.parse(files.json.text);
  const figure = { rows, columns, cells: cells.map((row) => row.map((cell) => cell ?? NaN)) };
  assert.deepEqual(
    cells.map(({ length }) => length),
    rows.map(() => columns.length),
  );
  assert.equal(files.csv.text, toCsv(figure));
  assert.ok(files.svg.text.includes("<title>") && !files.svg.text.includes("var("));
  assert.equal(String.fromCharCode(...files.png.bytes.slice(1, 4)), "PNG");
  return { title, svg: files.svg.text, ...figure };
}

/** The numbers of elements; NaN where there is none. */
const valuesOf = (page, selector) =>
  page
    .$$eval(selector, (all) => all.map(({ dataset: { value } }) => (value === undefined ? null : Number(value))))
    .then((values) => values.map((value) => (Number.isFinite(value) ? value : NaN)));

function near(actual, expected, what) {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    const same = Object.is(value, expected[i]) || Math.abs(value - expected[i]) < 2e-5;
    assert.ok(same, `${what}, ${i}: ${value}, expected ${expected[i]}`);
  });
}
const columnOf = ({ columns, cells }, name) => cells.map((row) => row[columns.indexOf(name)]);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

test("show me: all heads, and what one wide head would see", async () => {
  const screen = await site.open({ view: "show?head=1.2" });
  const { page } = screen;
  const expected = await oracle.compute(await screen.text());
  const heads = await filesOf(page, "[data-view=show] .grid + .export", "heads");
  assert.deepEqual(heads.rows, HEADS);
  near(columnOf(heads, "entropy"), HEADS.map((head) => expected.heads[head].entropy), "entropy"); // prettier-ignore
  near(columnOf(heads, "mean distance"), HEADS.map((head) => expected.heads[head].distance), "distance"); // prettier-ignore
  const habits = await page.$$eval("[data-view=show] .habit", (all) => all.map((each) => each.textContent.trim()));
  assert.deepEqual(columnOf(heads, "reads most"), habits);
  assert.equal(heads.svg.match(/<image [^>]+href="data:image\/png;base64,/g).length, HEADS.length);

  const wide = await filesOf(page, "[data-unsplit] + figcaption .export", "layer-1-unsplit");
  const { data } = expected.looks[0].scores;
  const T = expected.tokens.length;
  wide.cells.forEach((row, i) => {
    const powers = row.map((_, j) => Math.exp([0, 1, 2, 3].reduce((sum, h) => sum + data[(h * T + i) * T + j] / 2, 0)));
    const total = powers.reduce((sum, power) => sum + power);
    near(
      row,
      powers.map((power) => power / total),
      `row ${i}`,
    );
  });
  assert.equal(wide.svg.match(/<rect x=/g).length, T * T);
  await screen.done();
});

test("step through: the figures of every panel, and the toy's", async () => {
  const screen = await site.open({ view: "step?head=2.2&cell=4,1&causal=1" });
  const { page } = screen;
  const panel = "[data-panel]";
  await page.waitForSelector(`${panel} table`);
  const onScreen = (column) => valuesOf(page, `${panel} [data-column='${column}']`);

  const features = await filesOf(page, `${panel} .bars > .export`, "head-2.2-products-features");
  const [q, k, products] = features.cells;
  near(products, q.map((value, d) => value * k[d]), "products"); // prettier-ignore
  near([products.reduce((sum, value) => sum + value)], [(await onScreen(0))[1]], "their sum");
  assert.equal(features.svg.match(/<rect x=/g).length, 2 * 3 * q.length, "bars, each on its line");

  for (const factor of ["products", "scale", "mask", "softmax"]) {
    await page.waitForSelector(`[data-panel=${factor}]`);
    const table = await filesOf(page, `${panel} .scroll .export`, `head-2.2-${factor}`);
    for (const [column, name] of table.columns.entries())
      near(columnOf(table, name), await onScreen(column), `${factor}, ${name}`);
    if (factor === "mask") assert.ok(columnOf(table, "masked").includes(NaN) && table.svg.includes(">−∞<"));
    await page.click("[data-go=on]");
  }
  for (const factor of ["values", "output"]) {
    await page.waitForSelector(`[data-panel=${factor}]`);
    const sum = await filesOf(page, `${panel} > .export`, `head-2.2-${factor}`);
    near(columnOf(sum, "1"), await valuesOf(page, `${panel} [data-part]`), `${factor}, feature 1`);
    const weights = factor === "values" ? columnOf(sum, "weight").slice(0, -1) : sum.rows.slice(1).map(() => 1);
    for (const feature of ["1", "17", sum.columns.at(-1)]) {
      const column = columnOf(sum, feature);
      const mixed = weights.reduce((total, weight, part) => total + weight * column[part], 0);
      near([mixed], [column.at(-1)], `${factor}, feature ${feature}`);
    }
    await page.click("[data-go=on]");
  }

  await page.waitForSelector("[data-weight='1.3.3'][data-value]");
  const toy = await filesOf(page, "[data-section=lab] figure:nth-child(2) .export", "toy-head-2");
  const weights = toy.cells.flatMap((row) => row.slice(4, 8));
  near(weights, await valuesOf(page, "[data-weight^='1.']"), "weights of the toy");
  toy.cells.forEach((row, t) => near(row.slice(8), [row[4] - row[6], row[5] - row[7]], `output of ${toy.rows[t]}`));
  assert.equal(toy.svg.match(/<circle /g).length, 8);
  await screen.done();
});

test("train: curves, seeds, the maps of a model's heads", async () => {
  const screen = await site.open({ view: "train" });
  const { page } = screen;
  const curve = (n, name) => filesOf(page, `.curves > figure:nth-child(${n}) .export`, name);
  const ends = {
    accuracy: await curve(1, "right-answers-on-what-was-held-back"),
    loss: await curve(2, "loss-on-the-same-examples"),
  };
  for (const [metric, lines] of Object.entries(ends)) {
    assert.deepEqual(lines.columns, ["1 head", "2 heads", "4 heads", "8 heads"]);
    near(lines.cells.at(-1), await valuesOf(page, `[data-lane] [data-metric=${metric}]`), metric);
    assert.equal(lines.rows.at(-1), "2000");
    assert.equal(lines.svg.match(/<path d="M[^"]+L[^>]+stroke="rgb/g).length, 4, "lines with their colours");
  }
  const seeds = await curve(3, "right-answers-by-seeds");
  const [dots, rings] = [await valuesOf(page, "[data-seed]"), await valuesOf(page, "[data-ring]")];
  assert.deepEqual(
    seeds.cells,
    rings.map((ring, row) => [...dots.slice(5 * row, 5 * row + 5), ring]),
  );
  assert.equal(seeds.svg.match(/<circle /g).length, dots.length + rings.length);

  const maps = await filesOf(page, "[data-lane='4'] .export", "maps-of-4-heads");
  const questions = maps.rows.length / 4;
  for (const [at, letter] of ["first", "second"].entries()) {
    const shown = await valuesOf(page, `[data-lane='4'] [data-metric=${letter}]`);
    const weights = maps.cells.map((row, i) => row[maps.columns.indexOf(maps.rows[i].split(": ")[1].split(" − ")[at])]);
    near(
      shown.map((_, head) => mean(weights.slice(head * questions, (head + 1) * questions))),
      shown,
      `weight on the ${letter}`,
    );
  }
  await screen.done();
});

test("prune: importance, losses, and what is left", async () => {
  const screen = await site.open({ view: "prune" });
  const { page } = screen;
  const importance = await filesOf(page, "figure:has(.layers) .export", "importance-gradient");
  near(importance.cells.flat(), await valuesOf(page, "[data-bar]"), "importance");
  const table = await filesOf(page, "[data-section=pruning] table + .export", "pruning");
  near(columnOf(table, "loss"), await valuesOf(page, "[data-metric=loss]"), "loss");
  near(columnOf(table, "bytes").slice(0, 2), await valuesOf(page, "[data-metric=bytes]"), "bytes");
  const losses = await filesOf(page, ".two > figure:nth-child(2) .export", "loss-by-heads-removed");
  const here = losses.rows.indexOf("4");
  for (const [column, row] of [
    ["gradient", 1],
    ["random order 1", 2],
    ["mean of the random orders", 3],
  ])
    near([columnOf(losses, column)[here]], [columnOf(table, "loss")[row]], column);
  await screen.done();
});

test("your model: what it has written, and the report as it is sorted", async () => {
  const screen = await site.open({ view: "model?model=moby-dick" });
  const { page } = screen;
  await page.waitForSelector("[data-own=live][aria-busy=false]");
  await page.waitForSelector("[data-next]");
  await page.locator("[name=count]").fill("4");
  await page.click("[data-action=write]");
  await page.waitForFunction(() => document.querySelectorAll("[data-written]").length === 4);
  const written = await filesOf(page, "[data-section=writing] .export", "written");
  near(written.cells.flat(), await valuesOf(page, "[data-written]"), "probabilities");

  await page.click("[data-analyse=report]");
  await page.waitForSelector("[data-report]");
  await page.click("[data-sort=entropy]");
  const report = await filesOf(page, "[data-section=analyses] > .export", "report");
  const shown = await page.$$eval("[data-report]", (all) => all.map(({ dataset }) => dataset.report));
  assert.deepEqual(report.rows, shown);
  assert.notDeepEqual(shown, shown.toSorted());
  for (const column of ["entropy", "importance"])
    near(columnOf(report, column), await valuesOf(page, `[data-number=${column}]`), column);
  await screen.done();
});
