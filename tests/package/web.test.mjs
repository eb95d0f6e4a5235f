// The installed package in Chromium: in a Vite app with no configuration, from `vite dev` and from `vite build`, and on a
// page without any bundler.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import filePlugin from "@size-limit/file";
import sizeLimit from "size-limit";
import { build, createServer } from "vite";

import { sizeGates } from "../../tools/downloads.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { difference, inputSource, makeProject, rows, width } from "./project.mjs";

const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** A page with a script; it has no favicon, since asking for one could fail. */
const html = (script) =>
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="${script}"></script>`;

/** The script: it offers `compute(entry, options)`, and downloads what that needs. */
const script = (headwise, headwiseWorker, makeHost) => `
  addEventListener("securitypolicyviolation", ({ violatedDirective }) => console.error("refused:", violatedDirective));
  const computeHere = async ({ load, tensor }, options) => {
    const hw = await load(options);
    const x = tensor(${inputSource}, [${rows}, ${width}]);
    const { output } = await hw.attention(x, x, x);
    return { info: hw.info, output: [...output.data] };
  };
  const computeInOwnWorker = (options) => new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./own-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(options);
  });
  const entries = {
    "headwise/worker": async (options) => computeHere(await import("${headwiseWorker}"), options),
    "headwise/worker with a worker given": async (options) =>
      computeHere(await import("${headwiseWorker}"), { ...options, worker: () => ${makeHost} }),
    "headwise in a worker": computeInOwnWorker,
    "headwise": async (options) => computeHere(await import("${headwise}"), options),
  };
  window.compute = async (entry, options) => {
    const before = Object.getOwnPropertyNames(window);
    const result = await entries[entry](options).catch(({ name, code, message }) => ({ name, code, message }));
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
const smallViteApp = {
  "small/index.html": html("/main.js"),
  "small/main.js": `
    import { load, tensor } from "headwise/worker";
    window.compute = async (entry, options) => {
      const hw = await load(options);
      const x = tensor(${inputSource}, [${rows}, ${width}]);
      await hw.attention(x, x, x);
      return { info: hw.info, globals: [] };
    };`,
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
  await project.write({ ...viteApp, ...smallViteApp, ...plainPage });
  browser = await openBrowser("chromium");
});
after(async () => {
  await browser?.close();
  await project?.remove();
});

/** Opens the page, computes, and sees to it that nothing was complained of meanwhile. */
async function compute(server, entry, options) {
  server.requests.length = 0;
  const page = await browser.page(server.url);
  try {
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
  const inWorkers = ["headwise/worker", "headwise/worker with a worker given", "headwise in a worker"];
  for (const [entry, expectedThreads, options] of [
    ...inWorkers.map((entry) => [entry, threads, { threads }]),
    ["headwise", 1, {}],
  ]) {
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

/** What `vite build` makes without a configuration file, on a static host. Vite has nothing to warn of. */
async function viteBuild(root, options) {
  const warnings = [];
  const warn = (text) => warnings.push(text);
  const quiet = { info() {}, clearScreen() {}, hasWarned: false, hasErrorLogged: () => false };
  const customLogger = { ...quiet, warn, warnOnce: warn, error: warn };
  await build({ root, configFile: false, logLevel: "warn", customLogger, ...options });
  deepEqual(warnings, []);
  return serve(join(root, "dist"), { csp: true });
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

  // Vite's default is iife.
  for (const [format, options] of Object.entries({ iife: {}, es: { worker: { format: "es" } } })) {
    test(`from vite build, under a content security policy, with workers as ${format}`, async () => {
      const server = await viteBuild(project.folder, options);
      try {
        await checkEntries(server, { threads: 2 });
      } finally {
        await server.close();
      }
    });

    const sizeGate = sizeGates["headwise/worker"];
    test(`its page downloads at most ${sizeGate} bytes, gzipped, with workers as ${format}`, async (t) => {
      const server = await viteBuild(join(project.folder, "small"), options);
      try {
        const { info } = await compute(server, "headwise/worker", { threads: 2 });
        equal(info?.threads, 2);
        const names = [...new Set(server.requests)].filter((path) => /\.(js|wasm)$/.test(path));
        const files = names.map((path) => join(project.folder, "small/dist", path));
        const [{ size }] = await sizeLimit([filePlugin], { checks: [{ files, gzip: true }] });
        t.diagnostic(`${size} bytes`);
        ok(size > 20_000 && size <= sizeGate, `${size} bytes: ${names}`);
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
