// Builds the site beside the page, into web/dist/docs: VitePress's pages from docs/, the API reference, the package that the samples
// run, and small models for them. All addresses are relative, so that the folder works anywhere.
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { unpack } from "./goldens.mjs";
import { main, root, upToDate } from "./steps.mjs";

const target = join(root, "web/dist/docs");
const base = "/__headwise__/"; // of docs/.vitepress/config.mjs: VitePress has no relative one

/** Replaces the base in a page: by the way up from its folder, and in the data that scripts read by the site's address. */
function relativePage(html, depth) {
  const up = "../".repeat(depth) || "./";
  return html
    .split(/(JSON\.parse\("(?:[^"\\]|\\.)*"\))/)
    .map((part, n) => (n % 2 ? part.replace(/\)$/, `.replaceAll("${base}",__site))`) : part.replaceAll(base, up)))
    .join("")
    .replace("<head>", `<head><script>globalThis.__site=new URL("${up}",location).pathname</script>`);
}

/** Replaces the base in a script, where it begins a string; the search index is one string. */
function relativeScript(code, name) {
  if (name.includes("localSearchIndex")) return code.replace(/;export/, `.replaceAll("${base}",__site);export`);
  return code.replace(new RegExp(`"${base}([^"\\\\]*)"`, "g"), '(__site+"$1")');
}

async function makeRelative() {
  for (const name of await readdir(target, { recursive: true })) {
    const file = join(target, name);
    if (name.startsWith("package") || !/\.(html|js)$/.test(name)) continue;
    const text = await readFile(file, "utf8");
    const depth = name.split("/").length - 1;
    await writeFile(file, name.endsWith(".js") ? relativeScript(text, name) : relativePage(text, depth));
  }
}

/** The package and the models that samples use. */
async function addPackage() {
  const files = (await readdir(join(root, "dist"))).filter((name) => /\.(js|wasm)$/.test(name));
  for (const name of files) await cp(join(root, "dist", name), join(target, "package", name));
  await unpack();
  const { tokenizerFiles } = await import("../tests/models/cases/word_tokenizer.mjs");
  for (const [name, golden] of Object.entries({ gpt2: "gpt2", minilm: "bert-mlm" })) {
    const folder = join(target, "tiny", name);
    await mkdir(folder, { recursive: true });
    for (const file of ["config.json", "model.safetensors"])
      await cp(join(root, "build/goldens", golden, file), join(folder, file));
    for (const [file, bytes] of Object.entries(tokenizerFiles)) await writeFile(join(folder, file), bytes);
  }
}

/** Builds the site, as far as it is not up to date. */
export async function site() {
  const tools = ["site.mjs", "api.mjs", "goldens.mjs"].map((name) => `tools/${name}`);
  const inputs = ["docs", "dist", ...tools, "tests/models/cases/word_tokenizer.mjs", "package-lock.json"];
  if (upToDate("web/dist/docs/index.html", inputs)) return;
  const [{ api }, { build }] = await Promise.all([import("./api.mjs"), import("vitepress")]);
  await api();
  await rm(target, { recursive: true, force: true });
  await build(join(root, "docs"));
  await makeRelative();
  await addPackage();
  const index = join(target, "index.html");
  await writeFile(index, await readFile(index)); // the newest file: what `upToDate` looks at
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(site);
