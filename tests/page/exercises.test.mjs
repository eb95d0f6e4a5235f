// The exercises' answers against the library, their links, the printed page; and present mode with its scenes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { HEADS, loadOracle, without } from "./oracle.mjs";
import { importPageCode } from "./page_code.mjs";
import { openSite } from "./screen.mjs";

const { EXERCISES } = await importPageCode("web/src/teach/exercises.ts");
let site, oracle;

before(async () => {
  site = await openSite();
  oracle = await loadOracle(site.url);
});
after(async () => {
  await site?.close();
  oracle?.dispose();
});

/** Mean weight on the key `step` after each query that has one. */
function neighbour({ tokens, heads }, name, step) {
  const T = tokens.length;
  const found = tokens.flatMap((_, i) => (i + step >= 0 && i + step < T ? heads[name].weights[i * T + i + step] : []));
  return found.reduce((sum, weight) => sum + weight) / found.length;
}

test("every number of the answers is the library's", async () => {
  const two = (value) => value.toFixed(2);
  const cat = await oracle.compute("The cat sat on the chair because it was tired.");
  const soft = await oracle.compute("The cat sat on the chair because it was soft.");
  const again = await oracle.compute("again again again again again again");
  const alike = async (a, b, ...off) => two(await oracle.similarity(a, b, without(...off)));
  const [dog, age, film] = [
    ["The dog saw the cat.", "The cat saw the dog."],
    ["How old are you?", "What is your age?"],
    ["I like this film.", "I do not like this film."],
  ];
  const row = (of, key) => of.heads["2.2"].weights[7 * of.tokens.length + key];
  const { queries, keys } = cat.looks[1];
  const product = (key) => {
    const at = (tensor, t) => tensor.data.subarray((11 + t) * 128, (12 + t) * 128);
    return at(queries, 7).reduce((sum, value, d) => sum + value * at(keys, key)[d], 0);
  };
  const numbers = [
    [two(neighbour(cat, "1.3", 1)), two(neighbour(cat, "1.4", -1))],
    [two(row(cat, 1)), two(row(soft, 1))],
    [await alike(...dog), await alike(...dog, "1.3")],
    [await alike(...age, ...HEADS.slice(0, 4)), await alike(...age, ...HEADS.slice(4))],
    [await alike(...film), await alike(...film, "2.2")],
    [two(neighbour(again, "1.4", -1)), two(Math.min(...HEADS.slice(4).map((name) => again.heads[name].entropy)))],
    [(row(cat, 1) / row(cat, 5)).toFixed(1), row(cat, 1).toFixed(3), row(cat, 5).toFixed(3)],
    [],
  ];
  assert.equal(EXERCISES.length, numbers.length);
  EXERCISES.forEach(({ title, answer }, i) => {
    for (const number of numbers[i]) assert.ok(answer.includes(number), `${title}: ${number} is not in “${answer}”`);
  });
  assert.ok(EXERCISES[3].ask.includes(await alike(...age)));
  for (const key of [1, 5]) assert.ok(EXERCISES[6].ask.includes(product(key).toFixed(1)), product(key).toFixed(1));
  const changes = await Promise.all(HEADS.map(async (name) => oracle.similarity(...dog, without(name))));
  const whole = await oracle.similarity(...dog);
  const most = changes.map((value) => Math.abs(value - whole));
  assert.equal(HEADS[most.indexOf(Math.max(...most))], "1.3");
});

test("answers are hidden until they are asked for; links set the page up; printing opens all", async () => {
  const screen = await site.open({ view: "exercises", wait: false });
  const { page } = screen;
  const open = () => page.$$eval("[data-view=exercises] details", (all) => all.map((details) => details.open));
  assert.deepEqual(await open(), Array(8).fill(false));
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  assert.deepEqual(await open(), Array(8).fill(true));
  for (const { link } of EXERCISES) {
    await page.goto(`${site.url}${link}`);
    const wanted = new URLSearchParams(link.split("?")[1]);
    const isText = (text) => document.querySelector("#show-sentence").value === text;
    if (wanted.has("text")) await page.waitForFunction(isText, {}, wanted.get("text")); // the address is read a moment later
    await screen.settled();
    if (wanted.has("head") && link.startsWith("#show")) assert.equal(await screen.shown(), wanted.get("head"));
    const view = link.slice(1).split("?")[0];
    assert.ok(await page.$(`[data-view=${view}]:not([hidden])`), link);
  }
  await screen.done();
});

test("present: large type, scenes are saved and gone through by the arrow keys, and outlast the page", async () => {
  const screen = await site.open();
  const { page } = screen;
  const size = () => page.evaluate(() => parseFloat(getComputedStyle(document.documentElement).fontSize));
  const before = await size();
  await page.click("[data-action=present]");
  assert.ok((await size()) > 1.3 * before);
  const at = () => page.$eval("[data-scene=at]", (element) => element.textContent);
  await page.click("[data-scene=save]");
  await screen.show("step");
  await page.waitForFunction(() => location.hash.startsWith("#step"));
  await page.click("[data-scene=save]");
  assert.equal(await at(), "2 of 2");
  await page.evaluate(() => document.activeElement.blur());
  await screen.press("ArrowLeft");
  await page.waitForSelector("[data-view=show]:not([hidden])");
  await screen.press("ArrowRight");
  await page.waitForSelector("[data-view=step]:not([hidden])");
  await screen.press("ArrowRight");
  assert.equal(await at(), "2 of 2");
  // The arrows of what has the focus are its own.
  await page.focus("[data-go=on]");
  await screen.press("ArrowRight");
  await page.waitForSelector("[data-step='2']");
  await screen.press("ArrowLeft");
  await page.waitForSelector("[data-step='1']");
  assert.ok(await page.$("[data-view=step]:not([hidden])"), "the scene is the same");
  await page.reload();
  await page.click("[data-action=present]");
  await page.click("[data-scene=on]");
  assert.equal(await at(), "1 of 2");
  for (let n = 0; n < 2; ++n) await page.click("[data-scene=remove]");
  assert.equal(await at(), "no scenes yet");
  await screen.done();
});

test("present, and not: no part scrolls sideways, on narrow screens and on those where the layout changes", async () => {
  const screen = await site.open();
  const { page } = screen;
  const wide = {};
  const look = async (what) => {
    for (const presents of [true, false]) {
      await page.click("[data-action=present]");
      for (const width of presents ? [320, 430, 660, 820, 1000] : [320]) {
        await page.setViewport({ width, height: 900 });
        // Maps and charts hear of a new width a moment later.
        const fits = () => document.documentElement.scrollWidth <= innerWidth;
        const waiting = page.waitForFunction(fits, { timeout: 2000 });
        await waiting.catch(async () => {
          wide[`${what}, ${width} px${presents ? ", presenting" : ""}`] = await screen.overflow();
        });
      }
    }
  };
  await page.click("[data-action=present]");
  await page.click("[data-scene=save]"); // all buttons of the bar
  await page.click("[data-action=present]");
  await look("show");
  for (const view of ["step", "train", "prune", "model", "exercises"]) {
    await page.evaluate((view) => (location.hash = view), view);
    await page.waitForSelector(`[data-view=${view}]:not([hidden])`);
    if (view === "step") await page.waitForSelector("[data-panel] table");
    if (view === "model") {
      await page.click("[data-action=moby]");
      await page.waitForSelector("[data-own=live][aria-busy=false]");
      await page.click("[data-analyse=report]");
      await page.waitForSelector("[data-report]");
    }
    await look(view);
  }
  assert.deepEqual(wide, {});
  await screen.done();
});
