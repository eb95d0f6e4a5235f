// Builds what the bench runs: the package as published, and the bench's own binaries.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { binaries, build, cmake } from "../../tools/build.mjs";
import { root } from "../../tools/steps.mjs";

/** @param options.simd which of the bench's own binaries, and options.threads */
export async function buildBench({ simd, threads }) {
  const environment = await build();
  for (const binary of binaries) {
    const wanted =
      threads.includes(binary.endsWith("-threads") ? 2 : 1) && (simd === "auto" || binary.startsWith(simd));
    if (wanted) await cmake(binary, environment, "headwise_bench_core");
  }
}

/** Where the contenders are that are not imported by name, below the repository's root. */
export function foldersBelow(base) {
  return {
    headwise: `${base}dist/`,
    onnxruntime: `${base}node_modules/onnxruntime-web/dist/`,
    tfjs: `${base}node_modules/@tensorflow/tfjs-backend-wasm/dist/`,
    core: Object.fromEntries(
      binaries.map((binary) => [binary, `${base}build/${binary}/tests/bench/headwise-bench-${binary}.mjs`]),
    ),
  };
}

export const rootUrl = pathToFileURL(join(root, "/")).href;
