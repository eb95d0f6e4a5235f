// The built page in Chromium, and what tests do with it.
import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../../tools/steps.mjs";
import { launchChromium } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

const folder = join(root, "web/dist");

export const darkWithReducedMotion = [
  { name: "prefers-color-scheme", value: "dark" },
  { name: "prefers-reduced-motion", value: "reduce" },
];

/** Serves the page, as `npm start` does or from a sub-folder of a host without isolation headers, and opens a browser. */
export async function openSite({ plain = false, ...more } = {}) {
  await access(join(folder, "index.html")).catch(() => assert.fail("web/dist is missing: run `npm run build` first"));
  const where = plain ? { isolated: false, mount: "/some/folder/" } : { isolated: true, csp: true };
  const host = await serve(folder, { ...where, ...more });
  const browser = await launchChromium();
  return {
    url: host.url,
    /** Paths that were asked for. */
    requests: host.requests,
    served: host.served,
    open: (options = {}) => openPage(browser, host.url, options),
    async close() {
      await browser.close();
      await host.close();
    },
  };
}

/** A page and what tests do with it; `done` checks that the console stayed empty, but for messages, each with its address, that are `allowed`. */
async function openPage(
  browser,
  url,
  { view = "show", wait = true, width = 1280, features = [], holdModel = false, failModel = 0, init, allowed },
) {
  const page = await browser.newPage();
  const messages = [];
  page.on("console", (message) => {
    if (!allowed?.test(`${message.text()} ${message.location().url}`))
      messages.push(`${message.type()}: ${message.text()}`);
  });
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
        if (!String(resource).endsWith("first.safetensors")) return fetch(resource, options);
        if (failures-- > 0) return new Response(null, { status: 404 });
        const response = await fetch(resource, options);
        await released;
        return response;
      };
    },
    holdModel,
    failModel,
  );
  if (init) await page.evaluateOnNewDocument(init);
  await page.goto(`${url}#${view}`);

  const main = (name) => page.$eval("main", (element, name) => element.dataset[name], name);
  const runs = async () => Number(await main("runs"));
  /** Waits until a section is in a phase. Throws the section's own sentence as soon as it is in the phase "failed" instead. */
  const reaches = async (section, phase, options) => {
    await page.waitForSelector(`${section}:is([data-phase=failed], ${phase})`, options);
    if (await page.$(`${section}${phase}`)) return;
    const status = await page.$eval(`${section} [role=status]`, (element) => element.textContent);
    assert.fail(`${section}${phase}: ${status.trim()}`);
  };
  const settled = () => reaches("main", "[data-phase=live][aria-busy=false]");
  const screen = {
    page,
    /** Goes to another part of the page by the strip. */
    async show(view) {
      await page.click(`nav [data-to=${view}]`);
      await page.waitForSelector(`[data-view=${view}]:not([hidden])`);
    },
    releaseModel: () => page.evaluate(() => window.observed.releaseModel()),
    async done() {
      assert.deepEqual(messages, [], "the console stays empty");
      await page.close();
    },
    phase: () => main("phase"),
    runs,
    reaches,
    settled,
    text: () => page.$eval("#show-sentence", (element) => element.value),
    status: () => page.$eval("[role=status]", (element) => element.textContent),
    shown: () => page.$eval("[data-shown]", (element) => element.dataset.shown),
    attribute: (selector, name) => page.$eval(selector, (element, name) => element.getAttribute(name), name),
    number: (selector, name) => page.$eval(selector, (element, name) => Number(element.dataset[name]), name),
    shift: () => page.evaluate(() => window.observed.shift),
    overflow: () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    metric: (name) => page.$eval(`[data-metric=${name}]`, (element) => Number(element.textContent)),
    press: (key) => page.keyboard.press(key),
    /** Waits until there are no more workers than these; a busy one outlives its end for some seconds. */
    async workersAre(count) {
      for (let wait = 0; page.workers().length !== count; wait += 100) {
        assert.ok(wait < 10_000, `${page.workers().length} workers, expected ${count}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    changes: () =>
      page.$$eval("[data-change]", (elements) => elements.map((element) => Number(element.dataset.change))),
    /** Acts, and waits until a run later than all before is on screen and no other is under way. */
    async after(act) {
      const before = await runs();
      await act();
      await page.waitForFunction((n) => Number(document.querySelector("main").dataset.runs) > n, {}, before);
      await settled();
    },
    /** A changed text, as if by one key. */
    insert: (text) =>
      page.$eval(
        "#show-sentence",
        (field, text) => {
          field.value = text;
          field.dispatchEvent(new Event("input", { bubbles: true }));
        },
        text,
      ),
    type: (text) =>
      screen.after(async () => {
        await page.$eval("#show-sentence", (element) => element.select());
        await page.locator("#show-sentence").fill(text);
      }),
    async toggleTo(gates) {
      for (const [layer, of] of gates.entries()) {
        for (const [h, gate] of of.entries()) {
          const selector = `[data-head='${layer + 1}.${h + 1}'] [data-switch=gate]`;
          const checked = await page.$eval(selector, (element) => element.checked);
          if (checked !== Boolean(gate)) await screen.after(() => page.click(selector));
        }
      }
    },
    /** Tab until the element has the focus: it is within reach of the keyboard. */
    async tabTo(selector) {
      for (let i = 0; i < 90; ++i) {
        await page.keyboard.press("Tab");
        if (await page.$eval(selector, (element) => element === document.activeElement)) return;
      }
      assert.fail(`${selector} cannot be reached with Tab`);
    },
    cell: () =>
      page.$eval("[data-cell]", (element) => {
        const words = element.cloneNode(true);
        words.querySelector("span")?.remove(); // "pinned"
        return { text: words.textContent.trim(), value: Number(element.dataset.value) };
      }),
    /** What a screen reader was told last. */
    said: () => page.$eval("output[aria-live]", (element) => element.textContent),
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
