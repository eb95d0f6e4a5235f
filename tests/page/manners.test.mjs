// The built page's manners: no link that leads nowhere, headings in order, forced colours, paper, no JavaScript.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseHTML } from "linkedom";

import { root } from "../../tools/steps.mjs";
import { openSite } from "./screen.mjs";

let site;
before(async () => (site = await openSite({ plain: true })));
after(() => site?.close());

test("the README opens as a page of its own, and no link of the page or of its texts leads nowhere", async () => {
  const screen = await site.open({ view: "train" });
  const link = await screen.page.$eval("header a[target]", ({ href, target, rel }) => ({ href, target, rel }));
  assert.deepEqual(link, { href: `${site.url}readme/`, target: "_blank", rel: "noopener" });
  await screen.done();
  const seen = new Map();
  const read = async (address) => {
    if (!seen.has(address)) {
      const response = await fetch(address);
      assert.equal(response.status, 200, address);
      seen.set(address, parseHTML(await response.text()).document);
      await follow(address, seen.get(address));
    }
    return seen.get(address);
  };
  const follow = async (address, document) => {
    if (!/(\/|\.html)$/.test(address) || !address.startsWith(`${site.url}readme/`)) return;
    for (const element of document.querySelectorAll("a[href], img, link[href]")) {
      const to = new URL(element.getAttribute("href") ?? element.getAttribute("src"), address);
      if (!to.href.startsWith(site.url)) continue;
      const { hash } = to;
      to.hash = "";
      const other = await read(to.href);
      if (hash) assert.ok(other.getElementById(decodeURIComponent(hash.slice(1))), `${address}: ${to.href}${hash}`);
    }
  };
  const start = await read(`${site.url}readme/`);
  assert.match(start.querySelector("h1").textContent, /Headwise/);
  assert.ok(start.querySelector("pre code") && start.querySelector("img"));
  const places = [...seen.keys()].map((address) => address.slice(site.url.length));
  for (const place of ["docs/experiments/index.html", "docs/heads.html", "readme/CHANGELOG.html"])
    assert.ok(places.includes(place), place);
});

test("headings are in order in every part of the page", async () => {
  const screen = await site.open();
  const views = await screen.page.$$eval("nav[aria-label] a", (all) => all.map(({ hash }) => hash.slice(1)));
  assert.ok(views.length >= 3);
  for (const view of views) {
    await screen.show(view);
    const levels = await screen.page.$$eval("h1, h2, h3, h4, h5, h6", (all) =>
      all.filter((heading) => heading.checkVisibility()).map(({ tagName }) => Number(tagName[1])),
    );
    assert.equal(levels.filter((level) => level === 1).length, 1);
    levels.forEach((level, n) => assert.ok(level - (levels[n - 1] ?? 0) <= 1, `${view}: ${levels.join(" ")}`));
  }
  await screen.done();
});

test("forced colours: bars, scales, switches and what is chosen stay to be seen", async () => {
  const screen = await site.open();
  const { page } = screen;
  const session = await page.createCDPSession();
  await session.send("Emulation.setEmulatedMedia", { features: [{ name: "forced-colors", value: "active" }] });
  const styleOf = (selector, property) =>
    page.$eval(selector, (element, property) => getComputedStyle(element).getPropertyValue(property), property);
  const canvas = await page.evaluate(() => {
    const probe = Object.assign(document.createElement("i"), { style: "color: Canvas" });
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  });
  assert.notEqual(await styleOf("[role=switch]:checked", "background-color"), canvas);
  assert.equal(await styleOf(".chips [aria-pressed=true]", "outline-style"), "solid");
  await screen.show("train");
  assert.match(await styleOf("[data-lane='4'] [data-metric=first]", "background-image"), /gradient/);
  assert.match(await styleOf(".legend i", "background-image"), /gradient/);
  assert.equal(await styleOf("nav [aria-current]", "outline-style"), "solid");
  const strokes = await page.$$eval("[data-section=many] path", (all) =>
    all.map((path) => [getComputedStyle(path).stroke, path.getAttribute("stroke-dasharray")]),
  );
  assert.ok(strokes.every(([stroke]) => stroke !== canvas));
  assert.equal(new Set(strokes.map(([, dash]) => dash)).size, 4, "numbers of heads differ by their dashes");
  await screen.show("prune");
  assert.notEqual(await styleOf("[data-bar] .bar", "background-color"), canvas);
  await screen.done();
});

test("on paper: light, without what only works on a screen", async () => {
  const screen = await site.open({ view: "train", features: [{ name: "prefers-color-scheme", value: "dark" }] });
  const colour = () =>
    screen.page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--page"));
  const dark = await colour();
  await screen.page.emulateMediaType("print");
  assert.notEqual(await colour(), dark);
  const visible = (selector) =>
    screen.page.$$eval(selector, (all) => all.filter((element) => element.checkVisibility()).length);
  assert.equal(await visible("nav, [data-section] button"), 0);
  // All maps are on paper, also those that were not in view.
  await screen.page.waitForFunction(() =>
    [...document.querySelectorAll("[data-lane] canvas")].every((canvas) => {
      const { width, height } = canvas;
      const copy = new OffscreenCanvas(width || 1, height || 1).getContext("2d", { willReadFrequently: true });
      if (width > 0) copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, copy.canvas.width, copy.canvas.height);
      return canvas.checkVisibility() && new Set(new Uint32Array(data.buffer)).size > 5;
    }),
  );
  await screen.page.evaluate(() => (location.hash = "show"));
  await screen.page.waitForSelector("[data-view=show]:not([hidden])");
  await screen.settled();
  assert.equal(await visible("[data-view=show] [data-head] canvas"), 8);
  assert.equal(await visible("[data-view=show] .piece"), await screen.metric("tokens"));
  assert.equal(await visible("[data-view=show] .chips button"), 0);
  await screen.done();
});

test("without JavaScript the page says in words what it is", async () => {
  const { document } = parseHTML(await readFile(join(root, "web/dist/index.html"), "utf8"));
  const words = document.querySelector("noscript").textContent.trim().split(/\s+/);
  assert.ok(words.length > 60, words.join(" "));
});

test("numbers of heads, letters and heads have colours of their own", async () => {
  for (const scheme of ["light", "dark"]) {
    const screen = await site.open({ view: "train", features: [{ name: "prefers-color-scheme", value: scheme }] });
    const colours = await screen.page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const names = [
        "head-0",
        "head-1",
        "head-2",
        "head-3",
        "head-4",
        "letter-1",
        "letter-2",
        "count-1",
        "count-2",
        "count-4",
      ];
      return names.map((name) => style.getPropertyValue(`--${name}`).trim());
    });
    assert.equal(new Set(colours).size, colours.length, scheme);
    await screen.done();
  }
});

test("what the model does not know is said; breaks become spaces; every token keeps its own direction", async () => {
  const screen = await site.open();
  const { page } = screen;
  const pasted = "The cat \u{1F408}\u{1F408} sat\non the\n\nשלום mat";
  await screen.after(() =>
    page.$eval(
      "#show-sentence",
      (field, text) => {
        field.value = text;
        field.dispatchEvent(new Event("input", { bubbles: true }));
      },
      pasted,
    ),
  );
  assert.equal(await screen.text(), "The cat \u{1F408}\u{1F408} sat on the שלום mat");
  const unknown = await page.$$eval("[data-token].unknown", (all) => all.map(({ dataset }) => Number(dataset.token)));
  assert.ok(unknown.length >= 1);
  assert.match(
    await page.$eval("[data-unknown]", ({ textContent }) => textContent.replace(/\s+/g, " ")),
    /characters that are not in this model's vocabulary/,
  );
  assert.match(
    await screen.attribute(`[data-token='${unknown[0]}'] button`, "aria-label"),
    /not in this model's vocabulary/,
  );
  await page.click(`[data-token='${unknown[0]}'] button`);
  assert.match((await screen.cell()).text, /^query '.*' \(not in the vocabulary\) → /);
  const bare = await page.$$eval(
    ".piece, .axis span, [data-cell]",
    (all) => all.filter((one) => !one.querySelector("bdi")).length,
  );
  assert.equal(bare, 0, "tokens outside of <bdi>");
  await screen.type("The cat sat.");
  assert.equal(await page.$("[data-unknown]"), null);
  await screen.done();
});

test("the live regions say what the reader does on a map, and nothing while someone types", async () => {
  const screen = await site.open();
  const { page } = screen;
  await page.evaluate(() => {
    window.said = [];
    const regions = document.querySelectorAll("[aria-live], [role=status]");
    const observer = new MutationObserver(() =>
      window.said.push([...regions].map((region) => region.textContent).join("|")),
    );
    for (const region of regions) observer.observe(region, { childList: true, subtree: true, characterData: true });
  });
  const said = () => page.evaluate(() => window.said.splice(0).length);
  await page.focus("#show-sentence");
  await page.keyboard.type(" Then it slept, and all was well.", { delay: 30 });
  await screen.settled();
  assert.equal(await said(), 0);
  await page.focus("[data-matrix=weights]");
  await said();
  for (const key of ["ArrowUp", "ArrowRight", "ArrowRight"]) await screen.press(key);
  assert.equal(await said(), 3);
  await screen.done();
});

test("a tap on a map shows its cell at the lower edge, and leads to the detail", async () => {
  const screen = await site.open({ width: 390 });
  const { page } = screen;
  const session = await page.createCDPSession();
  await session.send("Emulation.setTouchEmulationEnabled", { enabled: true });
  const box = await page.$eval("[data-head='1.3'] .map", (map) => {
    map.scrollIntoView({ block: "center" });
    const { x, y, width, height } = map.getBoundingClientRect();
    return { x, y, width, height };
  });
  const count = await screen.metric("tokens");
  await page.touchscreen.tap(box.x + (box.width * 2.5) / count, box.y + (box.height * 5.5) / count);
  const thumb = await page.waitForSelector(".thumb");
  const text = await thumb.$eval("p", ({ textContent }) => textContent.trim());
  const labels = await page.$$eval("[data-token] .piece", (all) => all.map(({ textContent }) => textContent.trim()));
  assert.match(text, /head 1\.3$/);
  assert.ok(text.startsWith(`query '${labels[5]}' → key '${labels[2]}': `), text);
  const { y, height } = await thumb.boundingBox();
  assert.ok(Math.abs(y + height - 900) <= 1, "at the lower edge");
  assert.equal(await screen.overflow(), 0);
  await (await thumb.$("button")).tap();
  await page.waitForFunction(() => Math.abs(document.querySelector(".detail").getBoundingClientRect().top) < 5);
  await (await thumb.$$("button"))[1].tap();
  assert.equal(await page.$(".thumb"), null);
  await page.click("[data-head='1.2'] .map");
  await screen.done();
});

test("128 tokens: the map can be larger than its frame, and follows the arrow keys", async () => {
  const screen = await site.open();
  const { page } = screen;
  assert.equal(await page.$(".zoom"), null);
  await screen.type("Several readers, side by side, can look for different things at the same time. ".repeat(12));
  const width = () => page.$eval("[data-matrix=weights]", (map) => map.getBoundingClientRect().width);
  const before = await width();
  await page.click(".zoom button:nth-child(3)");
  assert.ok(Math.abs((await width()) - 4 * before) < 2);
  await page.focus("[data-matrix=weights]");
  await screen.press("End");
  for (let i = 0; i < 16; ++i) await screen.press("PageDown");
  const inside = await page.$eval(".frame", (frame) => {
    const outer = frame.getBoundingClientRect();
    const cell = frame.querySelector(".cell").getBoundingClientRect();
    return (
      cell.right <= outer.right + 1 &&
      cell.bottom <= outer.bottom + 1 &&
      cell.left >= outer.left &&
      cell.top >= outer.top
    );
  });
  assert.ok(inside, "the cell is in view");
  const labels = await page.$$eval(".axis.top span", (all) => all.map((span) => Number.parseFloat(span.style.left)));
  assert.ok(labels.length > 0 && labels.every((left) => left >= 0 && left <= before + 1), labels.join(" "));
  await screen.done();
});

test("from 1,340 pixels on, the heads' cards leave no empty column", async () => {
  for (const width of [1280, 1340, 1600, 1920]) {
    const screen = await site.open({ width });
    const gap = await screen.page.$$eval("[data-head]", (cards) => {
      const rights = cards.map((card) => card.getBoundingClientRect().right);
      return document.querySelector("main").getBoundingClientRect().right - Math.max(...rights);
    });
    assert.ok(gap < 2, `${width}: ${gap} pixels`);
    await screen.done();
  }
});
