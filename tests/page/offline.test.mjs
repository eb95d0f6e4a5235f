// After one load the built page works without its host; a new version takes over as a whole.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { root } from "../../tools/steps.mjs";
import { launchChromium } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

const live = (page) => page.waitForSelector("main[data-phase=live][aria-busy=false]");

/** Waits until the service worker has kept everything and answers for the page's next visit. */
const isKept = (page) => page.evaluate(() => navigator.serviceWorker.ready.then(({ active }) => active.scriptURL));

test(
  "after one load it works without its host, and a new version replaces all files at once",
  { timeout: 120_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "headwise-offline-"));
    await cp(join(root, "web/dist"), folder, { recursive: true });
    let down = false;
    const host = await serve(folder, { isolated: true, isDown: () => down });
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.goto(host.url);
      await live(page);
      await isKept(page);
      const lock = await page.evaluate(() => caches.keys());
      assert.equal(lock.length, 1);

      // Other pages of the host are themselves: those that are kept, and those of the site, which are not.
      const isItself = async (path) => {
        const [, title] = (await readFile(join(folder, path), "utf8")).match(/<title>(.*?)<\/title>/);
        await page.goto(`${host.url}${path.replace(/index\.html$/, "")}`);
        assert.equal(await page.title(), title, path);
      };
      const pages = ["readme/index.html", "readme/CHANGELOG.html"];
      for (const path of [...pages, "docs/guide/start.html"]) await isItself(path);
      const readLicenses = async () => {
        await page.goto(`${host.url}licenses.txt`);
        assert.match(await page.$eval("body", (body) => body.innerText), /Permission is hereby granted/);
      };
      await readLicenses();

      down = true;
      for (const path of pages) await isItself(path);
      await readLicenses();
      const asked = host.requests.length;
      await page.goto(`${host.url}#show?text=Nobody+is+there.`);
      await page.reload();
      await live(page);
      assert.equal(await page.$eval("#show-sentence", ({ value }) => value), "Nobody is there.");
      assert.equal(await page.evaluate(() => crossOriginIsolated), true, "with its headers");
      const files = host.requests.slice(asked).filter((path) => !path.endsWith("/offline.js"));
      assert.deepEqual(files, [], "nothing but the service worker itself is asked for");

      // A new version: the open page keeps the old one; when it is closed, the new one has everything.
      down = false;
      const index = await readFile(join(folder, "index.html"), "utf8");
      await writeFile(join(folder, "index.html"), index.replace("<title>Headwise", "<title>Newer Headwise"));
      const script = await readFile(join(folder, "offline.js"), "utf8");
      await writeFile(join(folder, "offline.js"), script.replace(/VERSION = "\w+"/, 'VERSION = "newer"'));
      await page.evaluate(async () => {
        const registration = await navigator.serviceWorker.ready;
        await registration.update();
        while (!registration.waiting) await new Promise((resolve) => setTimeout(resolve, 50));
      });
      const titleOn = (page) =>
        page.evaluate(async () => (await (await fetch("./index.html")).text()).match(/<title>(\w+)/)[1]);
      assert.equal(await titleOn(page), "Headwise", "the open page goes on with its version");
      await page.close();
      // The old version ends once no page has it; the browser takes a moment to notice, and a page that is opened before has it, too.
      let next;
      do {
        await next?.close();
        next = await browser.newPage();
        await next.goto(host.url);
        await live(next);
      } while ((await titleOn(next)) !== "Newer");
      await next.waitForFunction(async () => (await caches.keys()).every((name) => name.endsWith("newer")));
    } finally {
      await browser.close();
      await host.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
