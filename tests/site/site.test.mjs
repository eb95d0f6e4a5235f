// The built site in Chromium, from a folder of a host: its samples run, search finds, links lead somewhere, nothing comes from
// elsewhere, and axe finds nothing.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { root } from "../../tools/steps.mjs";
import { launchChromium } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { checkPrinted } from "./printed.mjs";

const folder = join(root, "web/dist");
const axeFile = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
let server, browser;

before(async () => {
  server = await serve(folder, { mount: "/some/folder/" });
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens a page of the site; `close` checks that it asked nobody else, and that its console stayed empty. */
async function open(path, { width = 1280, dark = false } = {}) {
  const page = await browser.newPage();
  const messages = [];
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => messages.push(String(error)));
  page.on("request", (request) => {
    const { origin } = new URL(server.url);
    if (!request.url().startsWith(origin) && !/^(data|blob):/.test(request.url())) messages.push(request.url());
  });
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.goto(`${server.url}docs/${path}`, { waitUntil: "networkidle0" });
  const close = async () => {
    // Files that a model need not have are asked for; browsers report that.
    deepEqual(
      messages.filter((message) => !message.includes("404 (Not Found)")),
      [],
      path,
    );
    await page.close();
  };
  return { page, close };
}

const guides = (await readdir(join(root, "docs/guide"))).map((name) => `guide/${name.replace(/\.md$/, "")}`);
const samplesOf = async (guide) =>
  [...(await readFile(join(root, `docs/${guide}.md`), "utf8")).matchAll(/^```js run\n(.*?)^```$/gms)].map(
    ([, code]) => code,
  );

describe("samples run where they are read, and print what their comments say", () => {
  for (const guide of guides) {
    test(guide, async () => {
      const samples = await samplesOf(guide);
      const { page, close } = await open(`${guide}.html`);
      equal((await page.$$(".sample")).length, samples.length);
      for (const [n, code] of samples.entries()) {
        const sample = (await page.$$(".sample"))[n];
        await (await sample.$(".sample-bar button")).click();
        await page.waitForFunction((it) => /done|failed/.test(it.dataset.state), { timeout: 20_000 }, sample);
        const [state, text] = await sample.evaluate((it) => [
          it.dataset.state,
          it.querySelector("[role=status]").textContent,
        ]);
        equal(state, "done", `${code}\n${text}`);
        checkPrinted(code, text);
      }
      await close();
    });
  }
});

test("other code of the guides is that of tests/matrix", async () => {
  for (const guide of guides) {
    const text = await readFile(join(root, `docs/${guide}.md`), "utf8");
    if (guide !== "guide/bundlers") ok(!/^```js\n/m.test(text), `${guide} has code that nothing runs`);
  }
});

test("a sample can be edited, and failures are shown", async () => {
  const { page, close } = await open("guide/start.html");
  await page.locator(".sample-bar button:nth-child(2)").click();
  await page.waitForSelector(".cm-content");
  await page.focus(".cm-content");
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type('import { tensor } from "headwise";\ntensor(new Float32Array(3), [2, 2]);');
  await page.locator(".sample-bar button").click();
  await page.waitForSelector("[data-state=failed] .sample-output");
  match(await page.$eval(".sample-output", (it) => it.textContent), /HeadwiseError: .*\[2, 2\]/);
  await close();
});

test("search finds a call of the API, and leads to it", async () => {
  const { page, close } = await open("guide/start.html");
  await page.locator(".DocSearch-Button").click();
  await page.waitForSelector("#localsearch-input");
  await page.type("#localsearch-input", "ExportParametersOptions");
  const href = await (await page.waitForSelector(".results .result")).evaluate((it) => it.href);
  match(href, /\/some\/folder\/docs\/api\//);
  await page.click(".results .result");
  await page.waitForFunction((href) => location.href.startsWith(href), {}, href.split("#")[0]);
  await page.waitForFunction(() => document.querySelector("main").textContent.includes("ExportParametersOptions"));
  await close();
});

describe("axe finds nothing, and nothing scrolls sideways", () => {
  const shown = [
    "index.html",
    "guide/start.html",
    "guide/calls.html",
    "speed.html",
    "api/index/interfaces/KeyMask.html",
  ];
  for (const path of shown) {
    for (const [width, dark] of [
      [1280, false],
      [320, true],
    ]) {
      test(`${path}, ${width} pixels wide, ${dark ? "dark" : "light"}`, async () => {
        const { page, close } = await open(path, { width, dark });
        await page.addScriptTag({ path: axeFile });
        const { violations } = await page.evaluate(() => window.axe.run());
        const faults = violations.flatMap(({ id, nodes }) => nodes.map(({ html, any }) => [id, html, any[0]?.message]));
        deepEqual(faults, []);
        equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
        await close();
      });
    }
  }
});

test("links of all pages lead to files of the folder", async () => {
  const pages = (await readdir(join(folder, "docs"), { recursive: true })).filter((name) => name.endsWith(".html"));
  const missing = [];
  const exists = new Set((await readdir(folder, { recursive: true })).map((name) => `/${name}`));
  for (const name of pages.filter((name) => name !== "404.html")) {
    const html = await readFile(join(folder, "docs", name), "utf8");
    for (const [, address] of html.matchAll(/(?:href|src)="([^"#]*)(?:#[^"]*)?"/g)) {
      if (address === "" || /^(https?|data):/.test(address)) continue;
      const { pathname } = new URL(address, `http://localhost/docs/${name}`);
      const file = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      if (address.startsWith("/") || !exists.has(decodeURIComponent(file))) missing.push(`${name}: ${address}`);
    }
  }
  deepEqual(missing, []);
});
