// The same run in a browser: one worker of one isolated page, since pages themselves may not wait for threads.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { root } from "../../tools/steps.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { foldersBelow } from "./build.mjs";

const POLL_MS = 1000;
const SILENT_MS = 240_000; // longer than any row takes
const folder = "build/bench-page";

/** The contenders that are found by name need a bundle: import maps do not reach workers. */
async function bundle() {
  const { rolldown } = await import("rolldown");
  const built = await rolldown({
    input: join(root, "tests/bench/page_worker.mjs"),
    platform: "browser",
    external: [/^node:/],
    logLevel: "silent",
  });
  await built.write({ dir: join(root, folder), entryFileNames: "worker.js" });
  await built.close();
  await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, folder, "index.html"), "<!doctype html><title>Headwise bench</title>");
}

/** In the page: starts the worker and keeps what it says until it is asked for. */
function start(options) {
  const worker = new Worker("worker.js", { type: "module" });
  globalThis.said = [];
  worker.onmessage = ({ data }) => globalThis.said.push(data);
  worker.onerror = (event) => globalThis.said.push({ error: event.message ?? "the worker did not start" });
  worker.postMessage(options);
}

/** @returns results of the suite, with the browser's `version` */
export async function runInBrowser(options, say) {
  await bundle();
  const server = await serve(root, { cached: true });
  const browser = await openBrowser(options.browser);
  try {
    const page = await browser.page(`${server.url}${folder}/`);
    await page.evaluate(start, { ...options, folders: foldersBelow(server.url) });
    for (let heard = Date.now(); Date.now() - heard < SILENT_MS;) {
      await sleep(POLL_MS);
      for (const { progress, results, error } of await page.evaluate("globalThis.said.splice(0)")) {
        if (error !== undefined) throw new Error(`in ${options.browser}: ${error}`);
        heard = Date.now();
        if (progress !== undefined) say(progress);
        if (results !== undefined) return { ...results, version: browser.version };
      }
    }
    throw new Error(`nothing heard from ${options.browser} for ${SILENT_MS / 1000} s`);
  } finally {
    await browser.close();
    await server.close();
  }
}
