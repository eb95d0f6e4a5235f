// What is checked of an app, wherever it runs: the bits of Node's result, the threads that it may have, one WebAssembly
// file for each load, and that nobody warned of anything.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { answers, freePort } from "../support/processes.mjs";
import { serve } from "../support/server.mjs";
import { proxy } from "./proxy.mjs";

const START_SECONDS = 60;
const onPages = ["headwise", "headwise/worker", "headwise in a worker"];
const inPrograms = ["headwise", "headwise/worker"];

/** What a check results in: how many threads there were, in isolation and without, which only pages know. */
export const threadCount = (count) => (count === 1 ? "1 thread" : `${count} threads`);
const offPages = (count) => ({ isolated: threadCount(count), plain: "–" });

/** Options under which `threads` are expected: two are asked for, one is what `load` chooses by itself. */
const optionsFor = (threads) => (threads > 1 ? { threads } : {});

/** Checks one result of app/compute.js. */
export function checkResult(result, entry, threads, { reference }) {
  const { info, output, logits, serviceWorker, error } = result ?? { error: "no result" };
  equal(error, undefined, `${entry}: ${error}`);
  equal(info.threads, threads, `${entry}: ${info.reason}`);
  ok(info.reason, `${entry}: no reason`);
  if (serviceWorker) match(logits, /^HeadwiseError unsupported: .*import\(\)/);
  // Relaxed multiply-adds may be fused, as V8 has them, or not, as Bun's engine: two results, each to the bit.
  const allowed = info.simd === "relaxed" ? ["relaxed", "simd128"] : ["simd128"];
  const bits = ({ output, logits }) =>
    new Int32Array(Float32Array.from(serviceWorker ? output : [...output, ...logits]).buffer).join();
  ok(
    allowed.some((simd) => bits({ output, logits }) === bits(reference[simd])),
    `${entry}: other bits than Node's with ${info.simd}`,
  );
}

const complaint = /(^|[\s[(⚠!✗])(warn(ing)?s?|errors?)\b(?![.\w-])/im; // and no file's name
const checkQuiet = (text) => ok(!complaint.test(text), `it warns:\n${text}`);

/** Calls `compute` of app/main.js in a page. */
const call = (entry, options) => `(async () => {
  for (const start = performance.now(); !globalThis.compute; await new Promise((later) => setTimeout(later, 20)))
    if (performance.now() - start > 20_000) return { error: "the page's script did not run" };
  return compute(${JSON.stringify(entry)}, ${JSON.stringify(options)});
})()`;

/**
 * Opens a page for each entry, computes, and sees what it downloads and says. `threads`: how many a worker can have.
 * `counted`: whether the server knows what was asked for.
 */
export async function checkPage({ url, requests }, threads, context, { entries = onPages, counted = true } = {}) {
  for (const entry of entries) {
    requests.length = 0;
    const page = await context.browser.page(url);
    try {
      const expected = entry === "headwise" ? 1 : threads;
      const result = await page.evaluate(call(entry, optionsFor(expected)));
      deepEqual(page.messages, [], `${entry}: messages: ${page.messages.join("\n")}`);
      checkResult(result, entry, expected, context);
      const wasm = requests.filter((path) => /\.wasm\b/.test(path));
      if (counted) equal(wasm.length, 1, `${entry} downloads ${wasm.length} WebAssembly files: ${wasm}`);
    } finally {
      await page.close();
    }
  }
}

/** Checks a page isolated and not: `open(isolated)` resolves with a server. */
export async function bothWays(open, context, { threads = 2, ...options } = {}) {
  for (const isolated of [true, false]) {
    const server = await open(isolated);
    try {
      await checkPage(server, isolated ? threads : 1, context, options);
    } catch (error) {
      error.message = `${isolated ? "isolated" : "not isolated"}: ${error.message}`;
      throw error;
    } finally {
      await server.close();
    }
  }
  return { isolated: threadCount(threads), plain: threadCount(1) };
}

/** A tool makes static files in `folder`; then they are served. `files`: what the app has otherwise. */
export function built(words, folder, { files = {}, ...options } = {}) {
  return async (app, context) => {
    await app.write(files);
    checkQuiet(await app.run(words));
    return bothWays((isolated) => serve(join(app.folder, folder), { isolated }), context, options);
  };
}

/** Starts a server of the app, waits until it answers, works, and looks at what it has printed. */
async function withServer(app, start, work) {
  const port = await freePort();
  const server = app.start(start(port));
  const late = sleep(START_SECONDS * 1000, "it does not answer", { ref: false });
  const gone = server.ended.then(() => "it ended");
  const problem = await Promise.race([answers(`http://127.0.0.1:${port}/`), late, gone]);
  if (problem) throw new Error(`${start(port).join(" ")}: ${problem}\n${server.output()}`);
  try {
    const result = await work(port);
    checkQuiet(server.output());
    return result;
  } catch (error) {
    error.message += `\nthe server said: ${server.output().slice(-2000)}`;
    throw error;
  }
}

/** A tool serves the app itself, after it has built it where it must. `program`: a path that computes on the server. */
export function served(start, { build, program, ...options } = {}) {
  return async (app, context) => {
    if (build) checkQuiet(await app.run(build));
    return withServer(app, start, async (port) => {
      if (program)
        await checkAnswer(`http://127.0.0.1:${port}${program}`, { headwise: 2, "headwise/worker": 2 }, context);
      return bothWays((isolated) => proxy(port, { isolated }), context, options);
    });
  };
}

async function checkAnswer(url, threads, context) {
  const response = await fetch(url);
  ok(response.ok, `${url}: ${response.status} ${response.ok ? "" : await response.text()}`);
  const results = await response.json();
  for (const [entry, count] of Object.entries(threads)) checkResult(results[entry], entry, count, context);
}

/** A server that computes when it is asked. */
export function answering(start, threads, { build } = {}) {
  return async (app, context) => {
    if (build) await app.run(build);
    return withServer(app, start, async (port) => {
      await checkAnswer(`http://127.0.0.1:${port}/`, threads, context);
      return offPages(Math.max(...Object.values(threads)));
    });
  };
}

/** A program that runs app/program.js (or as it does): it leaves results.json and, but for test runners, prints nothing. */
export function program(words, { threads = 2, entries = inPrograms, quiet = true } = {}) {
  return async (app, context) => {
    const text = await app.run([...words, ...(quiet ? [JSON.stringify(optionsFor(threads)), ...entries] : [])]);
    if (quiet) equal(text, "", "it prints something");
    const results = JSON.parse(await app.read("results.json"));
    for (const entry of entries) checkResult(results[entry], entry, threads, context);
    return offPages(threads);
  };
}

/** A program in which an entry is refused, with a HeadwiseError that says why. */
export function refused(words, entry, message) {
  return async (app) => {
    await app.run([...words, "{}", entry]);
    match(JSON.parse(await app.read("results.json"))[entry].error, message);
    return { isolated: "refused, with the reason", plain: "–" };
  };
}

/** A TypeScript program, consumer.ts, compiles with each of these settings. */
export function compiles(compiler, settings) {
  return async (app) => {
    for (const [name, compilerOptions] of Object.entries(settings)) {
      await app.write({ "tsconfig.json": JSON.stringify({ compilerOptions, files: ["consumer.ts"] }) });
      equal(await app.run(["node", compiler]), "", name);
    }
    return { isolated: "compiles", plain: "–" };
  };
}
