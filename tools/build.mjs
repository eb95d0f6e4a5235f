// Builds the npm package into dist/: the four WebAssembly binaries, the JavaScript around them, the types.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";

import { glueFile, glueNames, writeGlue } from "./glue.mjs";
import { workerAnalyses } from "./worker_analyses.mjs";
import { installPackages, installPrograms, toolchainEnvironment } from "./setup.mjs";
import { main, root, run, step, upToDate, writeIfChanged } from "./steps.mjs";

export const binaries = ["simd128", "relaxed", "simd128-threads", "relaxed-threads"];

/** Configures a CMake preset if needed and builds targets (default: all). */
export async function cmake(preset, environment, ...targets) {
  // Configures again if the toolchain has moved, because CMake cannot change it in place.
  if (!existsSync(join(root, `build/${preset}/build.ninja`))) {
    await rm(join(root, `build/${preset}`), { recursive: true, force: true });
    await run("cmake", ["--preset", preset, "--log-level=WARNING"], { env: environment });
  }
  const target = targets.length === 0 ? [] : ["--target", ...targets];
  await run("cmake", ["--build", `build/${preset}`, ...target], { env: environment });
}

async function bundle(environment) {
  const { rolldown } = await import("rolldown");
  const { gatherLicenses, packageLicenses } = await import("./licenses.mjs");
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const source = (file) => join(root, "bindings/src", file);
  const dist = join(root, "dist");
  for (const name of await readdir(dist, { recursive: true })) {
    if (/\.(m?js|d\.ts)$/.test(name)) await rm(join(dist, name)); // left by an earlier build; it would be packed
  }
  // Minified for pages without a bundler. Functions keep their names, so that a stack trace is readable.
  const small = {
    compress: true,
    mangle: { keepNames: { function: true, class: false } },
    codegen: { removeWhitespace: true },
  };
  // One file for what pages with either entry need, one for what all pages with `headwise` need: fewer files are smaller, gzipped.
  const codeSplitting = {
    groups: [
      { name: "core", test: /src\/(attention|module|transformer|heads)\//, priority: 1 },
      {
        name: "base",
        priority: 2,
        test: /src\/(base|runtime\/(choose|limit|load_options|machine|sources|threads)|files\/(safetensors|half_floats|json)|models\/(import|export)_parameters)/,
      },
    ],
  };
  // Parts of ml-matrix that nothing here calls: how it prints a matrix, and its sums, means and variances. Its methods for these call
  // what is undefined.
  const withoutUnused = {
    name: "without-unused",
    transform: (code, id) =>
      /ml-matrix\/src\/(inspect|stat)\.js$/.test(id)
        ? [...code.matchAll(/export function (\w+)/g)].map(([, name]) => `export let ${name};`).join("\n")
        : null,
  };
  const licenses = gatherLicenses();
  const parts = {}; // of each file: the modules in it, and their length before it was minified
  const write = async (input, { plugins = [], platform = "browser", ...output }) => {
    const build = await rolldown({
      input,
      plugins: [withoutUnused, licenses.plugin(), ...plugins],
      resolve: {
        alias: {
          ...Object.fromEntries(glueNames.map((half) => [`./emscripten-${half}.mjs`, glueFile(half)])),
          // Its modules: of what its package.json exports, one CommonJS file, nothing could be left out.
          "ml-matrix": join(root, "node_modules/ml-matrix/src/index.js"),
        },
      },
      transform: { define: { HEADWISE_VERSION: JSON.stringify(version) } },
      platform,
    });
    const comments = { legal: true, annotation: true, jsdoc: false };
    const files = { dir: dist, chunkFileNames: "shared-[name].js" };
    const written = await build.write({ ...files, minify: small, comments, ...output });
    for (const { fileName, modules } of written.output)
      parts[fileName] = Object.fromEntries(
        Object.entries(modules).map(([id, { renderedLength }]) => [relative(root, id), renderedLength]),
      );
    await build.close();
  };
  await write({ index: source("index.ts"), worker: source("worker/index.ts") }, { codeSplitting });
  // Built separately: a worker that is one file starts in every bundler, as a module and as a classic script.
  await write(
    { "worker-host": source("worker/host.ts") },
    { chunkFileNames: "worker-[name].js", plugins: [workerAnalyses] },
  );
  await write({ thread: source("runtime/thread.ts") }, { codeSplitting: false });
  await write({ map: source("map/index.ts") }, { codeSplitting: false });
  // The command for Node imports the package beside it. Its own copy of modules throws the package's errors.
  const beside = {
    name: "beside",
    resolveId: (id) => (/^\.\.\/index\.js$|\/errors\.js$/.test(id) ? { id: "./index.js", external: true } : null),
  };
  await write({ cli: source("cli/main.ts") }, { codeSplitting: false, platform: "node", plugins: [beside] });
  await writeFile(join(root, "build/parts.json"), JSON.stringify(parts));
  await writeFile(join(dist, "THIRD_PARTY_LICENSES.txt"), await packageLicenses(environment, licenses));
  await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]);
}

/** Makes the package of the compiled binaries. */
export async function packageBinaries(environment) {
  await mkdir(join(root, "dist"), { recursive: true });
  for (const binary of binaries) {
    const name = `headwise-${binary}.wasm`;
    await writeIfChanged(join(root, "dist", name), await readFile(join(root, `build/${binary}/bindings`, name)));
  }
  await writeGlue();
  const stamp = "dist/worker/index.d.ts"; // written last
  const tools = ["build.mjs", "worker_analyses.mjs", "licenses.mjs", "licenses"].map((name) => `tools/${name}`);
  const inputs = ["bindings/src", "build/glue", "tsconfig.json", "package.json", ...tools];
  if (!upToDate(stamp, inputs)) await step("Bundling the package", () => bundle(environment));
}

/** Compiles what is not up to date. */
export async function compile(environment) {
  for (const binary of binaries) await cmake(binary, environment, "headwise");
}

/** Builds the parts of the package that are not up to date. */
export async function build() {
  await installPackages();
  await installPrograms("build");
  const environment = await toolchainEnvironment();
  await step("Compiling the core to WebAssembly, four ways", () => compile(environment));
  await packageBinaries(environment);
  return environment;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(build);
