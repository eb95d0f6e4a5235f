// What every entry needs before it can build: npm's packages, Debian's programs, the Emscripten toolchain.
import { join } from "node:path";

import { root, run, step, upToDate } from "./steps.mjs";

/** npm packages, as the lock file says. No install scripts: some would download from places beyond npm. */
export async function installPackages() {
  if (upToDate("node_modules/.package-lock.json", ["package-lock.json"])) return;
  await step("Installing npm packages", () => run("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit"]));
}

/** Programs of the machine's own distribution; groups of tools/machine.sh. */
export async function installPrograms(...groups) {
  await run("bash", ["tools/machine.sh", ...groups]);
}

/** The environment in which CMake finds Emscripten, xsimd and doctest. */
export async function toolchainEnvironment() {
  const file = (await run("bash", ["tools/toolchain.sh"], { capture: true })).trim();
  const dump = await run("bash", ["-c", 'source "$1" && env -0', "bash", file], { capture: true });
  const environment = Object.fromEntries(
    dump
      .split("\0")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  // Emscripten writes TypeScript types with the tsc that it finds; of three versions that the tests have, .bin has any.
  return { ...environment, PATH: `${environment.PATH}:${join(root, "node_modules/typescript/bin")}` };
}
