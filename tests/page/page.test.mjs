// The built page in Chromium, end to end: what stands on the screen against the library's own results, computed here in
// Node through the package on the same model; and the page's manners: keyboard, latest input, small screens, sub-folders,
// no isolation, no console messages, no blocking, no layout shift.
import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { load } from "../../dist/index.js";
import { launchChromium } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { importPageCode } from "./page_code.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const site = join(root, "web/dist");
const HEADS = [0, 1, 2, 3];
const OPEN = [1, 1, 1, 1];
const SENTENCE = "She saw the man with the telescope.";
/** The page and Node may run different binaries (relaxed SIMD or not), whose roundings differ. */
const TOLERANCE = 2e-5;

let host, plainHost, browser, hw, model, gated, open, single;

before(async () => {
  await access(join(site, "index.html")).catch(() => assert.fail("web/dist is missing: run `npm run build` first"));
  host = await serve(site, { isolated: true, csp: true });
  plainHost = await serve(site, { isolated: false, mount: "/some/folder/" });
  browser = await launchChromium();

  const { loadModel } = await importPageCode("web/src/model/index.ts");
  model = await loadModel(new URL("model/", folderOf(host)));
  hw = await load({ threads: 1 });
  const wide = { ...model.config, numHeads: 1, headDim: 256, valueHeadDim: 256 };
  [gated, open, single] = [model.config, model.config, wide].map((config) => {
    const mha = hw.multiHeadAttention(config);
    mha.setParameters(model.parameters);
    return mha;
  });
});

after(async () => {
  await browser?.close();
  await host?.close();
  await plainHost?.close();
  hw?.dispose();
});

test("a cached example is on screen before the model, its download shows progress, and nothing shifts", async () => {
  const screen = await openPage(host, { wait: false, holdModel: true });
  await screen.page.waitForSelector("progress");
  assert.equal(await screen.phase(), "example");
  const expected = compute(await screen.text());
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
  const shift = await screen.page.evaluate(() => window.observed.shift);
  assert.ok(shift < 0.02, `cumulative layout shift ${shift}`);
  await screen.done();
});

test("a typed sentence: every card's numbers are the library's", async () => {
  const screen = await openPage(host);
  await screen.type(SENTENCE);
  const expected = compute(SENTENCE);
  assert.equal(await screen.metric("tokens"), expected.tokens.length);
  await compareCards(screen, expected);
  assert.ok((await screen.number("[data-metric=milliseconds]", "value")) > 0);
  assert.ok((await screen.number("[data-metric=threads]", "value")) >= 1);
  await screen.done();
});

test("by keyboard alone: a head is locked, its cells read out, and unlocked", async () => {
  const screen = await openPage(host);
  await screen.type(SENTENCE);
  const { tokens, heads } = compute(SENTENCE);
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

test("every control and map has a name, and says its state", async () => {
  const screen = await openPage(host);
  const nodes = [];
  const collect = (node) => (nodes.push(node), node.children?.forEach(collect));
  collect(await screen.page.accessibility.snapshot());
  const of = (role) => nodes.filter((node) => node.role === role);
  for (const role of ["button", "switch", "textbox", "application", "link"]) {
    assert.ok(of(role).length > 0, role);
    for (const node of of(role)) assert.ok(node.name?.trim(), `a ${role} without a name`);
  }
  assert.equal(of("switch").filter(({ checked }) => checked).length, 4, "four gates are open, causal is off");
  assert.equal(of("application").length, 3);
  await screen.done();
});

test("hover previews, a click locks, leaving goes back to the locked head", async () => {
  const screen = await openPage(host);
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
  const screen = await openPage(host);
  await screen.type(SENTENCE);
  for (const gates of [
    [1, 0, 1, 1],
    [1, 0, 1, 0],
    [0, 0, 0, 0],
  ]) {
    await screen.toggleTo(gates);
    const expected = compute(SENTENCE, { gates });
    const change = await screen.changes();
    assert.equal(change.length, expected.change.length);
    change.forEach((value, t) => assert.ok(Math.abs(value - expected.change[t]) < TOLERANCE, `token ${t}: ${value}`));
    assert.ok(change.every((value) => value > 1e-3));
    await compareCards(screen, expected);
  }
  await screen.toggleTo(OPEN);
  assert.ok((await screen.changes()).every((value) => value === 0));
  await screen.done();
});

test("causal: masked cells say so, and the numbers are those of masked attention", async () => {
  const screen = await openPage(host);
  await screen.type(SENTENCE);
  await screen.after(() => screen.page.click("[data-switch=causal]"));
  await compareCards(screen, compute(SENTENCE, { causal: true }));
  await screen.page.focus("[data-matrix=weights]");
  await screen.press("End");
  assert.match((await screen.cell()).text, /: masked, head 1$/);
  await screen.done();
});

test("latest input wins, however fast inputs change", async () => {
  const screen = await openPage(host);
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
  const expected = compute(SENTENCE);
  await compareCards(screen, expected);
  const runs = await screen.runs();
  assert.ok(runs - first < 15, `${runs - first} of 30 runs were drawn: older ones should have been dropped`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await screen.runs(), runs, "no older run arrives later");
  assert.equal(await screen.metric("tokens"), expected.tokens.length);
  await screen.done();
});

test("128 tokens and more: drawn without blocking the page", async () => {
  const screen = await openPage(host);
  const long = "Several readers, side by side, can look for different things at the same time. ".repeat(12);
  await screen.type(long);
  assert.equal(await screen.metric("tokens"), 128);
  await compareCards(screen, compute(long));
  await screen.page.evaluate(() => (window.observed.longest = 0));
  for (const gates of [[0, 1, 1, 1], OPEN]) await screen.toggleTo(gates);
  const longest = await screen.page.evaluate(() => window.observed.longest);
  assert.ok(longest < 200, `the longest task took ${longest} ms`);
  await screen.done();
});

test("empty input keeps the last result", async () => {
  const screen = await openPage(host);
  const before = await screen.cards();
  await screen.page.click("#sentence", { count: 3 });
  await screen.press("Backspace");
  assert.match(await screen.status(), /type a sentence/i);
  assert.deepEqual(await screen.cards(), before);
  await screen.type("the");
  await compareCards(screen, compute("the"));
  await screen.done();
});

for (const [name, features] of [
  ["light", []],
  [
    "dark, with reduced motion",
    [
      { name: "prefers-color-scheme", value: "dark" },
      { name: "prefers-reduced-motion", value: "reduce" },
    ],
  ],
]) {
  test(`320 pixels wide, ${name}: nothing scrolls sideways`, async () => {
    const screen = await openPage(host, { width: 320, features });
    const overflow = () => screen.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.equal(await overflow(), 0);
    await screen.type("Supercalifragilisticexpialidocious photosynthesis, again and again. ".repeat(8));
    assert.equal(await overflow(), 0);
    await screen.done();
  });
}

test("from a sub-folder of a host without isolation headers: one thread, the same numbers, and the reason", async () => {
  const screen = await openPage(plainHost);
  await compareCards(screen, compute(await screen.text()));
  assert.equal(await screen.number("[data-metric=threads]", "value"), 1);
  assert.match(await screen.page.$eval(".reason", (element) => element.textContent), /isolat/i);
  await screen.done();
});

test("a model that does not arrive is said, and can be tried again", async () => {
  const screen = await openPage(host, { wait: false, failModel: 1 });
  await screen.page.waitForSelector("main[data-phase=failed]");
  assert.match(await screen.status(), /could not start.*404/is);
  await screen.page.click(".status button");
  await screen.settled();
  await compareCards(screen, compute(await screen.text()));
  await screen.done();
});

/** The library's results and plain arithmetic on them, independently of the page's code. */
function compute(text, { causal = false, gates = OPEN } = {}) {
  const tokens = model.tokenize(text);
  const x = model.embed(tokens.map(({ id }) => id));
  gated.setHeadGates(Float32Array.from(gates));
  const all = gated.forward(x, { causal, return: { weights: "probabilities", heads: "contributions" } });
  const values = gated.forward(x, { causal, return: { heads: "values" } });
  const wide = single.forward(x, { causal, return: { weights: "probabilities" } });
  const before = open.forward(x, { causal }).output.data;
  const after = all.output.data;

  const statistics = (weights) => hw.analyzeHeads({ data: weights.data, shape: [1, ...weights.shape] }, { causal });
  const slice = ({ data }, h) => data.subarray((h * data.length) / 4, ((h + 1) * data.length) / 4);
  const norms = HEADS.map((h) => Math.sqrt(slice(all.heads, h).reduce((sum, value) => sum + value * value, 0)));
  const total = norms.reduce((sum, value) => sum + value);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const row = (data, t) => Array.from(data.subarray(t * 512, (t + 1) * 512));
  return {
    tokens,
    heads: statistics(all.weights).map(({ entropy, distance }, h) => ({
      entropy,
      distance,
      share: norms[h] / total,
      weights: slice(all.weights, h),
      values: slice(values.heads, h),
      contributions: slice(all.heads, h),
    })),
    single: statistics(wide.weights)[0],
    change: tokens.map((_, t) => {
      const [a, b] = [row(before, t), row(after, t)];
      return 1 - dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    }),
  };
}

/** Data and text of all five cards against `expected`. */
async function compareCards(screen, expected, tolerance = TOLERANCE) {
  const format = {
    entropy: (value) => value.toFixed(2),
    distance: (value) => `${value.toFixed(2)} tokens`,
    share: (value) => (Number.isNaN(value) ? "–" : `${(100 * value).toFixed(1)} %`),
  };
  for (const { head, metric, value, shown } of await screen.cards()) {
    const wanted = (head === "single" ? expected.single : expected.heads[Number(head) - 1])[metric];
    // A distance is in tokens, up to 128: its roundings grow with it.
    const allowed = tolerance * Math.max(1, wanted || 0);
    const same = Number.isNaN(wanted) ? Number.isNaN(value) : Math.abs(value - wanted) <= allowed;
    assert.ok(same, `head ${head}, ${metric}: ${value} on the page, ${wanted} from the library`);
    assert.equal(shown, format[metric](value), `head ${head}, ${metric}`);
  }
}

/** A page and what tests do with it; `done` checks that the console stayed empty. */
async function openPage(server, { wait = true, width = 1280, features = [], holdModel = false, failModel = 0 } = {}) {
  const page = await browser.newPage();
  const messages = [];
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => messages.push(String(error)));
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures(features);
  await page.evaluateOnNewDocument(() => {
    window.observed = { shift: 0, longest: 0 };
    const observe = (type, each) =>
      new PerformanceObserver((list) => list.getEntries().forEach(each)).observe({ type, buffered: true });
    observe("layout-shift", (entry) => entry.hadRecentInput || (window.observed.shift += entry.value));
    observe("longtask", (entry) => (window.observed.longest = Math.max(window.observed.longest, entry.duration)));
  });
  // In the page, not through the browser's request interception, which stalls a worker's own requests.
  await page.evaluateOnNewDocument(
    (hold, failures) => {
      const { fetch } = window;
      const released = hold ? new Promise((resolve) => (window.observed.releaseModel = resolve)) : undefined;
      window.fetch = async (resource, options) => {
        if (!String(resource).endsWith(".safetensors")) return fetch(resource, options);
        if (failures-- > 0) return new Response(null, { status: 404 });
        const response = await fetch(resource, options);
        await released;
        return response;
      };
    },
    holdModel,
    failModel,
  );
  await page.goto(server.url);

  const main = (name) => page.$eval("main", (element, name) => element.dataset[name], name);
  const runs = async () => Number(await main("runs"));
  const settled = () => page.waitForSelector("main[data-phase=live][aria-busy=false]");
  const screen = {
    page,
    releaseModel: () => page.evaluate(() => window.observed.releaseModel()),
    async done() {
      assert.deepEqual(messages, [], "the console stays empty");
      await page.close();
    },
    phase: () => main("phase"),
    runs,
    settled,
    text: () => page.$eval("#sentence", (element) => element.value),
    status: () => page.$eval("[role=status]", (element) => element.textContent),
    shown: () => page.$eval("[data-shown]", (element) => element.dataset.shown),
    attribute: (selector, name) => page.$eval(selector, (element, name) => element.getAttribute(name), name),
    number: (selector, name) => page.$eval(selector, (element, name) => Number(element.dataset[name]), name),
    metric: (name) => page.$eval(`[data-metric=${name}]`, (element) => Number(element.textContent)),
    press: (key) => page.keyboard.press(key),
    changes: () =>
      page.$$eval("[data-change]", (elements) => elements.map((element) => Number(element.dataset.change))),
    /** Acts, and waits until a run later than all before is on screen and no other is under way. */
    async after(act) {
      const before = await runs();
      await act();
      await page.waitForFunction((n) => Number(document.querySelector("main").dataset.runs) > n, {}, before);
      await settled();
    },
    type: (text) =>
      screen.after(async () => {
        await page.$eval("#sentence", (element) => element.select());
        await page.locator("#sentence").fill(text);
      }),
    async toggleTo(gates) {
      for (const [h, gate] of gates.entries()) {
        const selector = `[data-head='${h + 1}'] [data-switch=gate]`;
        const checked = await page.$eval(selector, (element) => element.checked);
        if (checked !== Boolean(gate)) await screen.after(() => page.click(selector));
      }
    },
    /** Tab until the element has the focus: it is within reach of the keyboard. */
    async tabTo(selector) {
      for (let i = 0; i < 60; ++i) {
        await page.keyboard.press("Tab");
        if (await page.$eval(selector, (element) => element === document.activeElement)) return;
      }
      assert.fail(`${selector} cannot be reached with Tab`);
    },
    cell: () =>
      page.$eval("output[aria-live]", (element) => ({
        text: element.textContent,
        value: Number(element.dataset.value),
      })),
    async cards() {
      const cards = await page.$$eval("[data-head] [data-metric]", (elements) =>
        elements.map((element) => ({
          head: element.closest("[data-head]").dataset.head,
          metric: element.dataset.metric,
          value: element.dataset.value,
          shown: element.textContent.trim(),
        })),
      );
      return cards.map((card) => ({ ...card, value: Number(card.value) })); // here: NaN does not cross the protocol
    },
  };
  if (wait) await settled();
  return screen;
}

/** In the page: whether head 2's map has more than one colour. */
function isPainted() {
  const canvas = document.querySelector("[data-head='2'] canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size > 5;
}

const folderOf = ({ url }) => (url.endsWith("/") ? url : `${url}/`);
