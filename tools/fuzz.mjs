// `npm run fuzz -- --seconds 600`: random calls of attention in C++ (libFuzzer, with sanitizers) and of the package, and
// broken safetensors files. Each failure says how to run it again, alone.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { build, cmake } from "./build.mjs";
import { installPrograms } from "./setup.mjs";
import { main, root, run, step } from "./steps.mjs";

const relaxed = "--experimental-wasm-relaxed-simd";

/** Runs libFuzzer's target. Its corpus stays in build/fuzz/corpus for the next run, a failing case in build/fuzz. */
async function fuzzCore(environment, seconds, seed) {
  await cmake("fuzz", environment, "headwise_fuzz_attention");
  const corpus = join(root, "build/fuzz/corpus");
  await mkdir(corpus, { recursive: true });
  const program = join(root, "build/fuzz/tests/fuzz/headwise_fuzz_attention");
  const limits = [`-max_total_time=${seconds}`, "-timeout=20", "-rss_limit_mb=1024", "-max_len=512", "-len_control=0"];
  const failures = `-artifact_prefix=${join(root, "build/fuzz/")}`;
  try {
    await run(program, [...limits, `-seed=${seed}`, failures, "-verbosity=0", "-print_final_stats=1", corpus]);
  } catch (error) {
    throw new Error(`${error.message}\nAgain, with the file that is named above: ${program} build/fuzz/crash-…`);
  }
}

/** Runs a fuzzer that is written in JavaScript, with a time limit. */
function fuzzPackage(name, seconds, seed, ...more) {
  const args = [relaxed, "tests/fuzz/run.mjs", name, "--seconds", seconds, "--seed", seed, ...more];
  return run("node", args.map(String), { timeout: 1000 * (seconds + 60) });
}

/** The fuzzers by name; each throws at its first failure. */
export const fuzzers = {
  "attention in C++": fuzzCore,
  "the API, relaxed SIMD": (_, seconds, seed) => fuzzPackage("api", seconds, seed, "--simd", "relaxed"),
  "the API, simd128": (_, seconds, seed) => fuzzPackage("api", seconds, seed, "--simd", "simd128"),
  "safetensors files": (_, seconds, seed) => fuzzPackage("safetensors", seconds, seed),
};

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(async () => {
    const options = { seconds: { type: "string", default: "600" }, seed: { type: "string" } };
    const { values } = parseArgs({ options });
    const seed = Number(values.seed ?? Date.now() % 2 ** 31);
    const environment = await build();
    await installPrograms("fuzz");
    for (const [name, fuzz] of Object.entries(fuzzers))
      await step(`Fuzzing ${name}, ${values.seconds} s, seed ${seed}`, () =>
        fuzz(environment, Number(values.seconds), seed),
      );
  });
}
