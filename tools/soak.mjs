// `npm run soak -- --seconds 600 --seed 1`: models opened, used and disposed of at random for a long time (tests/soak).
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { build } from "./build.mjs";
import { main, run } from "./steps.mjs";

/** Runs the test with collected garbage and a small heap, so that what is kept shows. */
export function soak(seconds, seed) {
  const flags = ["--expose-gc", "--experimental-wasm-relaxed-simd", "--max-old-space-size=256"];
  const args = [...flags, "tests/soak/run.mjs", "--seconds", seconds, "--seed", seed];
  return run("node", args.map(String), { timeout: 1000 * (seconds + 60) });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(async () => {
    const { values } = parseArgs({
      options: { seconds: { type: "string", default: "600" }, seed: { type: "string" } },
    });
    await build();
    await soak(Number(values.seconds), Number(values.seed ?? Date.now() % 2 ** 31));
  });
}
