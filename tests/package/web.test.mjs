// The installed package in Chromium: in a Vite app with no configuration, from `vite dev` and from `vite build`, and on a
// page without any bundler.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { build, createServer } from "vite";

import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { difference, inputSource, makeProject, rows, width } from "./project.mjs";

const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** A page with a script; it has no favicon, since asking for one could fail. */
const html = (script) =>
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="${script}"></script>`;

/** The script: it offers `compute(entry, options)`. The worker host's place depends on who builds the page. */
const script = (headwise, headwiseWorker, makeHost) => `
  import { load as loadHere, tensor } from "${headwise}";
  import { load } from "${headwiseWorker}";
  const compute = async (entry, options) => {
    if (entry === "in a worker") return computeInWorker(options);
    const hw = await entries[entry](options);
    const x = tensor(${inputSource}, [${rows}, ${width}]);
    const { output } = await hw.attention(x, x, x);
    return { info: hw.info, output: [...output.data] };
  };
  const entries = {
    "headwise/worker": load,
    "headwise/worker with a worker given": (options) => load({ ...options, worker: () => ${makeHost} }),
    headwise: loadHere,
  };
  const computeInWorker = (options) => new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./own-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(options);
  });
  window.compute = async (...args) => {
    const before = Object.getOwnPropertyNames(window);
    const result = await compute(...args).catch(({ name, code, message }) => ({ name, code, message }));
    return { ...result, globals: Object.getOwnPropertyNames(window).filter((name) => !before.includes(name)) };
  };`;
const ownWorker = (headwise) => `
  import { load, tensor } from "${headwise}";
  onmessage = async ({ data: options }) => {
    const hw = await load(options);
    const x = tensor(${inputSource}, [${rows}, ${width}]);
    postMessage({ info: hw.info, output: [...hw.attention(x, x, x).output.data] });
  };`;

const viteApp = {
  "index.html": html("/main.js"),
  "main.js": `
    import HostWorker from "headwise/worker-host?worker";
    ${script("headwise", "headwise/worker", "new HostWorker()")}`,
  "own-worker.js": ownWorker("headwise"),
};
const dist = "../node_modules/headwise/dist";
const plainPage = {
  "plain/index.html": html("main.js"),
  "plain/main.js": script(
    `${dist}/index.js`,
    `${dist}/worker.js`,
    `new Worker("${dist}/worker-host.js", { type: "module" })`,
  ),
  "plain/own-worker.js": ownWorker(`${dist}/index.js`),
};

let project;
let browser;
before(async () => {
  project = await makeProject();
  await project.write({ ...viteApp, ...plainPage });
  browser = await openBrowser("chromium");
});
after(async () => {
  await browser?.close();
  await project?.remove();
});

/** Opens the page, computes, and sees to it that nothing was complained of meanwhile. */
async function compute(server, entry, options) {
  const page = await browser.page(server.url);
  try {
    server.requests.length = 0;
    const result = await page.evaluate(`compute(...${JSON.stringify([entry, options])})`);
    deepEqual(page.messages, []);
    deepEqual(result.globals, [], `${entry} makes globals`);
    return { ...result, wasm: server.requests.filter((path) => path.includes(".wasm")) };
  } finally {
    await page.close();
  }
}

/** Computes with every way into the package; `threads`: how many a worker can have. */
async function checkEntries(server, { threads }) {
  const inWorkers = ["headwise/worker", "headwise/worker with a worker given", "in a worker"];
  const ways = [...inWorkers.map((entry) => [entry, threads, { threads }]), ["headwise", 1, {}]];
  for (const [entry, expectedThreads, options] of ways) {
    const { info, output, message, wasm } = await compute(server, entry, options);
    equal(message, undefined, `${entry}: ${message}`);
    equal(info.threads, expectedThreads, `${entry}: ${info.reason}`);
    equal(info.simd, "relaxed", `${entry}: ${info.reason}`);
    ok(difference(output) < 1e-6, `${entry} differs by ${difference(output)}`);
    equal(wasm.length, 1, `${entry} downloads ${wasm}`);
    match(wasm[0], expectedThreads > 1 ? /headwise-relaxed-threads\b/ : /headwise-relaxed(?!-threads)/);
  }
}

/** `vite dev`, as it is without a configuration file; threads need the headers alone. */
async function viteDev() {
  const requests = [];
  const recorder = {
    name: "recorder",
    configureServer: ({ middlewares }) =>
      void middlewares.use((request, _, next) => (requests.push(request.url), next())),
  };
  const server = await createServer({
    root: project.folder,
    configFile: false,
    plugins: [recorder],
    logLevel: "warn",
    server: { host: "127.0.0.1", port: 0, headers: isolation },
  });
  await server.listen();
  return { url: server.resolvedUrls.local[0], requests, close: () => server.close() };
}

describe("a Vite app without configuration", () => {
  test("from vite dev", async () => {
    const server = await viteDev();
    try {
      await checkEntries(server, { threads: 2 });
    } finally {
      await server.close();
    }
  });

  for (const format of ["iife", "es"]) {
    test(`from vite build, under a content security policy, with workers as ${format}`, async () => {
      const warnings = [];
      const customLogger = { info() {}, warn: (text) => warnings.push(text), warnOnce: (text) => warnings.push(text) };
      Object.assign(customLogger, { error: customLogger.warn, clearScreen() {}, hasErrorLogged: () => false });
      const worker = format === "iife" ? {} : { worker: { format } }; // iife is Vite's default
      await build({ root: project.folder, configFile: false, logLevel: "warn", customLogger, ...worker });
      deepEqual(warnings, []);

      const server = await serve(join(project.folder, "dist"), { csp: true });
      try {
        await checkEntries(server, { threads: 2 });
      } finally {
        await server.close();
      }
    });
  }
});

describe("a page without a bundler, under a content security policy", () => {
  const servePage = async (isolated, work) => {
    const server = await serve(project.folder, { isolated, csp: true });
    try {
      await work({ ...server, url: `${server.url}plain/` });
    } finally {
      await server.close();
    }
  };

  test("isolated: with threads", () => servePage(true, (server) => checkEntries(server, { threads: 2 })));

  test("not isolated: with one thread, and the reason", () =>
    servePage(false, async (server) => {
      await checkEntries(server, { threads: 1 });
      const { info } = await compute(server, "headwise/worker", {});
      equal(info.threads, 1);
      match(info.reason, /not cross-origin isolated; send Cross-Origin-Opener-Policy/);
      const refused = await compute(server, "headwise/worker", { threads: 2 });
      equal(`${refused.name} ${refused.code}`, "HeadwiseError unsupported", refused.message);
      deepEqual(refused.wasm, [], "nothing is downloaded in vain");
    }));
});
