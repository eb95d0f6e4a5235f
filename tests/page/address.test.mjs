// The address of the built page says what it shows: links, back and forward, copying; for the page's own model and for opened ones.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openSite } from "./screen.mjs";

let site;
before(async () => (site = await openSite()));
after(() => site?.close());

const parameters = (page) =>
  page.evaluate(() => Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? "")));
const settles = (page, expected) =>
  page.waitForFunction(
    (expected) => {
      const shown = Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
      return JSON.stringify(Object.entries(shown).sort()) === expected;
    },
    { timeout: 5000 },
    JSON.stringify(Object.entries(expected).sort()),
  );
const cells = (page) =>
  page.$$eval("[data-view=show] [data-cell]", (all) => all.map(({ textContent }) => textContent.split(":")[0].trim()));

test("a link restores texts, head, cells, gates and mask; the address follows; back and forward", async () => {
  const link = {
    text: "The dog saw the cat.",
    with: "The cat saw the dog.",
    head: "1.3",
    cell: "1,2",
    cell2: "2,1",
    off: "1.2,2.4",
    causal: "1",
  };
  const screen = await site.open({ view: `show?${new URLSearchParams(link)}` });
  const { page } = screen;
  await page.waitForFunction(() => document.querySelectorAll("[data-cell] span").length === 2);
  assert.equal(await screen.text(), link.text);
  assert.equal(await screen.shown(), "1.3");
  assert.deepEqual(await cells(page), ["query 'dog' → key 'saw'", "query 'saw' → key 'cat'"]);
  const off = await page.$$eval("[data-view=show] .shut", (all) => all.map(({ dataset }) => dataset.head));
  assert.deepEqual(off, ["1.2", "2.4"]);
  assert.equal(await page.$eval("[data-switch=causal]", ({ checked }) => checked), true);
  await settles(page, link);

  await screen.after(() => page.click("[data-head='1.2'] [data-switch=gate]"));
  await settles(page, { ...link, off: "2.4" });
  await page.click("[data-head='2.1'] .map");
  await settles(page, { ...link, off: "2.4", head: "2.1" });
  await page.hover("h1");
  await page.goBack();
  await page.waitForSelector("[data-shown='1.3']");
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll("[data-view=show] .shut").length === 2);
  await page.goForward();
  await page.waitForFunction(() => document.querySelectorAll("[data-view=show] .shut").length === 1);
  await screen.done();
});

test("letters are no steps of the history; what is as at first is not in the address; copied links say it all", async () => {
  const screen = await site.open();
  const { page } = screen;
  assert.deepEqual(await parameters(page), {});
  const length = await page.evaluate(() => history.length);
  for (const text of ["A", "A small", "A small whale"]) {
    await screen.after(() => screen.insert(text));
    await settles(page, { text });
  }
  assert.equal(await page.evaluate(() => history.length), length);
  await page.evaluate(() => {
    navigator.clipboard.writeText = async (text) => (window.copied = text);
  });
  await page.click("[data-action=copy-link]");
  await page.waitForFunction(() => window.copied);
  const copied = await page.evaluate(() => window.copied);
  assert.equal(copied, `${site.url}#show?text=A+small+whale`);
  // At once, too: the browser's address follows a moment later.
  const early = await page.evaluate(async () => {
    const field = document.querySelector("#show-sentence");
    field.value = "Now";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    document.querySelector("[data-action=copy-link]").click();
    await new Promise((resolve) => setTimeout(resolve));
    return window.copied;
  });
  assert.equal(early, `${site.url}#show?text=Now`);
  await screen.after(() => screen.insert("A small whale"));
  await settles(page, { text: "A small whale" });
  await screen.show("step");
  assert.match(await page.evaluate(() => location.hash), /^#step\?text=A\+small\+whale$/);
  await screen.done();

  const wrong = await site.open({ view: "show?head=7.9&cell=99,99&off=x,1.9&causal=maybe" });
  assert.deepEqual(await cells(wrong.page), ["query '.' → key '.'"], "what there is not is left out or nearest");
  await wrong.done();
});

test("an opened model is in the address, with its text", async () => {
  const screen = await site.open({ view: "model?model=moby-dick&text=Call+me&head=2.3" });
  const { page } = screen;
  await page.waitForSelector("[data-own=live][aria-busy=false]");
  await page.waitForSelector("[data-view=model] [data-shown='2.3']");
  assert.equal(await page.$eval("#own-sentence", ({ value }) => value), "Call me");
  await settles(page, { model: "moby-dick", text: "Call me", head: "2.3" });
  await screen.done();
});

test("the seed of a training is in the address; one that is not named stays", async () => {
  const screen = await site.open({ view: "train?seed=7" });
  const { page } = screen;
  const seed = () => page.$eval("[data-view=train] input[type=number]", ({ value }) => value);
  assert.equal(await seed(), "7");
  await page.locator("[data-view=train] input[type=number]").fill("12");
  await screen.press("Enter");
  await settles(page, { seed: "12" });
  await screen.show("show");
  await page.evaluate(() => (location.hash = "#train"));
  await settles(page, { seed: "12" });
  assert.equal(await seed(), "12");
  await screen.done();
});

test("a link that is followed while the address is about to follow the page leads where it says", async () => {
  // The browser tells of a new address a moment later; here that moment is long.
  const init = () => {
    const late = (event) => {
      removeEventListener("hashchange", late);
      event.stopImmediatePropagation();
      setTimeout(() => dispatchEvent(new Event("hashchange")), 600);
    };
    addEventListener("hashchange", late);
  };
  const screen = await site.open({ init });
  const { page } = screen;
  await page.evaluate(() => {
    const field = document.querySelector("#show-sentence");
    field.value = "A small whale";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    location.hash = "#prune";
  });
  await page.waitForSelector("[data-view=prune]:not([hidden])", { timeout: 5000 });
  assert.equal(await page.evaluate(() => location.hash), "#prune");
  await screen.done();
});
