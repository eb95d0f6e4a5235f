// Builds the npm package into dist/: the four WebAssembly binaries, the JavaScript around them, the types.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { installPackages, installPrograms, toolchainEnvironment } from "./setup.mjs";
import { main, root, run, step, upToDate } from "./steps.mjs";

export const binaries = ["simd128", "relaxed", "simd128-threads", "relaxed-threads"];

/** Configures a CMake preset where that has not been done, and builds targets (all where none are named). */
export async function cmake(preset, environment, ...targets) {
  // Reconfigured when the toolchain has moved: CMake refuses to change it in place.
  if (!existsSync(join(root, `build/${preset}/build.ninja`))) {
    await rm(join(root, `build/${preset}`), { recursive: true, force: true });
    await run("cmake", ["--preset", preset, "--log-level=WARNING"], { env: environment });
  }
  const target = targets.length === 0 ? [] : ["--target", ...targets];
  await run("cmake", ["--build", `build/${preset}`, ...target], { env: environment });
}

/** Replaces text that must be there exactly once, so that another Emscripten version cannot slip by. */
function replaceOnce(text, from, to) {
  if (text.split(from).length !== 2) throw new Error(`Emscripten's output has changed: expected once: ${from}`);
  return text.replace(from, () => to);
}

/**
 * What Emscripten's output does and a guest should not: it imports Node's modules in a way that bundlers for browsers
 * warn of or refuse. In Node it sets globalThis.Worker, and its threads inherit the program's Node options (with
 * --input-type they would not start). In browsers all its threads run the file itself, of which bundlers make a second
 * copy: the worker of headwise/worker has a better way (makeThread in bindings/src/worker/host.ts).
 */
function behave(glue, half) {
  const imports = /await import\("(node:\w+)"\)/g;
  if (!imports.test(glue)) throw new Error("Emscripten's output has changed: it imports nothing of Node");
  // The loader brings the WebAssembly along; this address would make bundlers add a file that is not there.
  const quiet = replaceOnce(
    glue.replace(imports, 'process.getBuiltinModule("$1")'),
    `new URL("headwise-${half}.wasm",import.meta.url).href`,
    '""',
  );
  if (half === "single") return quiet;
  const url = 'new URL("headwise-threads.mjs",import.meta.url)';
  const worker = `new Worker(${url},{type:"module",workerData:"em-pthread",name:"em-pthread"})`;
  const inNode = `new worker_threads.Worker(new URL(import.meta.url),{workerData:"em-pthread",name:"em-pthread",execArgv:[]})`;
  return replaceOnce(
    replaceOnce(quiet, "globalThis.Worker=worker_threads.Worker", ""),
    worker,
    `ENVIRONMENT_IS_NODE?${inNode}:Module["makeThread"]?.()??new Worker(${url},{type:"module",name:"em-pthread"})`,
  );
}

/** Writes a file unless it already has that content, so that what depends on it stays up to date. */
async function writeIfChanged(path, content) {
  const old = await readFile(path).catch(() => undefined);
  if (old === undefined || !old.equals(Buffer.from(content))) await writeFile(path, content);
}

/** One JavaScript half for both instruction sets, which differ in nothing but the name of the .wasm file. */
async function copyGlue(half, [first, second]) {
  const read = (binary) => readFile(join(root, `build/${binary}/bindings/headwise-${binary}.mjs`), "utf8");
  const rename = (glue, binary) => glue.replaceAll(`headwise-${binary}`, `headwise-${half}`);
  const text = rename(await read(first), first);
  if (text !== rename(await read(second), second))
    throw new Error(`Emscripten's JavaScript of ${first} and ${second} differs`);
  // Emscripten leaves all names as they were. Those of functions stay: Vite makes classic scripts of workers, where a
  // function in a block is visible outside, and would hide another thing with the same short name.
  const { minifySync } = await import("rolldown/utils");
  const name = `headwise-${half}.mjs`;
  const options = { module: true, mangle: { keepNames: { function: true, class: false } } };
  await writeIfChanged(join(root, "dist", name), minifySync(name, behave(text, half), options).code);
}

async function bundle() {
  const { rolldown } = await import("rolldown");
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const source = (file) => join(root, "bindings/src", file);
  const dist = join(root, "dist");
  for (const name of await readdir(dist, { recursive: true })) {
    if (/\.(js|d\.ts)$/.test(name)) await rm(join(dist, name)); // of an earlier build: it would be packed
  }
  const build = await rolldown({
    input: { index: source("index.ts"), worker: source("worker/index.ts"), "worker-host": source("worker/host.ts") },
    external: /\/headwise-[^/]+\.mjs$/, // stays beside, to be loaded on demand
    makeAbsoluteExternalsRelative: false, // beside the bundle, not beside the source
    transform: { define: { HEADWISE_VERSION: JSON.stringify(version) } },
    platform: "browser",
  });
  // Small for pages without a bundler; functions keep their names, so that an uncaught error shows where it was thrown.
  const small = {
    compress: true,
    mangle: { keepNames: { function: true, class: false } },
    codegen: { removeWhitespace: true },
  };
  await build.write({
    dir: dist,
    chunkFileNames: "shared-[name].js",
    minify: small,
    comments: { legal: true, annotation: true, jsdoc: false },
  });
  await build.close();
  await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]);
}

/** Builds whatever of the package is not up to date. */
export async function build() {
  await installPackages();
  await installPrograms("build");
  const environment = await toolchainEnvironment();
  await mkdir(join(root, "dist"), { recursive: true });
  await step("Compiling the core to WebAssembly, four ways", async () => {
    for (const binary of binaries) {
      await cmake(binary, environment, "headwise");
      const name = `headwise-${binary}.wasm`;
      await writeIfChanged(join(root, "dist", name), await readFile(join(root, `build/${binary}/bindings`, name)));
    }
    await copyGlue("single", ["simd128", "relaxed"]);
    await copyGlue("threads", ["simd128-threads", "relaxed-threads"]);
  });
  const stamp = "dist/worker/index.d.ts"; // written last
  if (!upToDate(stamp, ["bindings/src", "tsconfig.json", "package.json", "tools/build.mjs"])) {
    await step("Bundling the package", bundle);
  }
  return environment;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(build);
