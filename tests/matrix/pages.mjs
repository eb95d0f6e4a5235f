// Pages and workers without a bundler or with one that follows no addresses: the recipes of docs/guide/bundlers.md among them.
import { cp, rename } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { launchChromium, openWithPuppeteer } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";
import { bothWays, built, checkPage, threadCount } from "./checks.mjs";
import { recipe, recipeScript } from "./recipes.mjs";

const html = (scripts) => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">${scripts}`;
const dist = "./node_modules/headwise/dist";
const shared = (name) => readFileSync(new URL(`app/${name}`, import.meta.url), "utf8");
const inWorker = ["headwise/worker"];

/** A page with an import map; `code`: what else it does. */
const mapped = (imports, script) =>
  html(
    `<script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="./${script}"></script>`,
  );
const mapTo = (base) => ({
  headwise: `${base}/index.js`,
  "headwise/worker": `${base}/worker.js`,
  "headwise/worker-host": `${base}/worker-host.js`,
});

/** The app's folder, served under a sub-path. */
const plain = (options) => (app, context) =>
  bothWays((isolated) => serve(app.folder, { isolated, mount: "/a/b/" }), context, options);

/** The page comes from one server, the package from another, as a CDN would serve it. */
async function fromElsewhere(app, context) {
  const headers = { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" };
  const open = async (isolated) => {
    const cdn = await serve(join(app.folder, "node_modules/headwise/dist"), { headers, isolated });
    await app.write({ "index.html": mapped(mapTo(cdn.url.slice(0, -1)), "recipe.js") });
    const server = await serve(app.folder, { isolated });
    return { url: server.url, requests: cdn.requests, close: () => Promise.all([cdn.close(), server.close()]) };
  };
  return bothWays(open, context, { entries: inWorker });
}

/** A worker of the page that is no dedicated one: one thread, wherever the page is. */
const otherWorker = (connect) => ({
  "index.html": html(`<script type="module" src="connect.js"></script>`),
  "connect.js": `
    globalThis.compute = async (entry, options) => {
      const { port1, port2 } = new MessageChannel();
      (await (async () => { ${connect} })()).postMessage(options, [port2]);
      return new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    };`,
});
const answerPort = `
  import * as headwise from "${dist}/index.js";
  import { compute } from "./compute.js";
  const answer = async ({ data, ports }) => ports[0].postMessage(await compute(headwise, data));`;

/** Import maps stand in pages' own text, which extensions forbid: addresses. */
const extensionFiles = Object.fromEntries(
  ["page.js", "own-worker.js"].map((name) => [
    name,
    shared(name).replaceAll(
      /from "headwise(\/worker)?"/g,
      (_, entry) => `from "./headwise/${entry ? "worker" : "index"}.js"`,
    ),
  ]),
);

/** An extension's own page, which no server serves. */
async function extension(app, context) {
  await cp(join(app.folder, "node_modules/headwise/dist"), join(app.folder, "headwise"), { recursive: true });
  for (const isolated of [true, false]) {
    const [embedder, opener] = ["require-corp", "same-origin"];
    const isolation = {
      cross_origin_embedder_policy: { value: embedder },
      cross_origin_opener_policy: { value: opener },
    };
    const manifest = {
      manifest_version: 3,
      name: "Headwise",
      version: "1",
      content_security_policy: { extension_pages: recipe("An extension's page", "text").trim() },
      ...(isolated && isolation),
    };
    await app.write({ "manifest.json": JSON.stringify(manifest) });
    const browser = await launchChromium({ enableExtensions: true });
    try {
      const id = await browser.installExtension(app.folder);
      const page = { url: `chrome-extension://${id}/index.html`, requests: [] };
      await checkPage(
        page,
        isolated ? 2 : 1,
        { ...context, browser: await openWithPuppeteer("chromium", browser) },
        { counted: false },
      );
    } finally {
      await browser.close();
    }
  }
  return { isolated: threadCount(2), plain: threadCount(1) };
}

const copied = "esbuild, Rollup, and whatever else follows no addresses";
const withCopy = (tool) => async (app, context) => {
  await cp(join(app.folder, "node_modules/headwise/dist"), join(app.folder, "public/headwise"), { recursive: true });
  await rename(join(app.folder, "index.html"), join(app.folder, "public/index.html"));
  return built(tool, "public", { entries: inWorker })(app, context);
};

export const pages = [
  {
    name: "a page with an import map, under a sub-path",
    write: "the import map",
    files: { "index.html": mapped(mapTo(dist), "page.js") },
    guards: ["page"],
    checks: { page: plain({ entries: ["headwise", "headwise/worker"] }) },
  },
  {
    name: "a page, the package from another origin",
    write: "the recipe below",
    files: { "recipe.js": recipeScript(recipe("From another origin, as a CDN", "js"), "headwise/worker") },
    guards: ["page"],
    checks: { page: fromElsewhere },
  },
  {
    name: "a service worker",
    write: "a static import; it is of type `module`",
    files: {
      ...otherWorker(`
        await navigator.serviceWorker.register("./service-worker.js", { type: "module" });
        return (await navigator.serviceWorker.ready).active;`),
      "service-worker.js": `${answerPort} addEventListener("message", answer);`,
    },
    checks: { page: plain({ threads: 1, entries: ["headwise in it"] }) },
  },
  {
    name: "a SharedWorker",
    files: {
      ...otherWorker(`return new SharedWorker("./shared-worker.js", { type: "module" }).port;`),
      "shared-worker.js": `${answerPort} addEventListener("connect", ({ ports }) => (ports[0].onmessage = answer));`,
    },
    checks: { page: plain({ threads: 1, entries: ["headwise in it"] }) },
  },
  {
    name: "an extension's page (Manifest V3)",
    write: "`'wasm-unsafe-eval'`, as below",
    files: extensionFiles,
    checks: { page: extension },
  },
  {
    name: "esbuild",
    packages: { esbuild: "0.28.2" },
    write: "the recipe below",
    files: { "recipe.js": recipeScript(recipe(copied, "js"), "headwise/worker") },
    checks: {
      build: withCopy([
        "esbuild",
        "recipe.js",
        "--bundle",
        "--format=esm",
        "--outfile=public/main.js",
        "--log-level=warning",
      ]),
    },
  },
  {
    name: "Rollup",
    packages: { rollup: "4.68.8", "@rollup/plugin-node-resolve": "16.0.3" },
    write: "the recipe below",
    files: { "recipe.js": recipeScript(recipe(copied, "js"), "headwise/worker") },
    checks: {
      build: withCopy([
        "rollup",
        "recipe.js",
        "--plugin=node-resolve",
        "--format=es",
        "--dir=public",
        "--entryFileNames=main.js",
      ]),
    },
  },
];
