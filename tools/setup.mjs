// What every script needs before it can build: npm's packages, Debian's programs, the Emscripten toolchain.
import { join } from "node:path";

import { root, run, step, upToDate } from "./steps.mjs";

/** Installs npm packages from the lock file. No install scripts: some would download from other hosts. */
export async function installPackages() {
  if (upToDate("node_modules/.package-lock.json", ["package-lock.json"])) return;
  await step("Installing npm packages", () => run("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit"]));
}

/** Installs programs of the machine's own distribution. Groups: see tools/machine.sh. */
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
  // Emscripten writes TypeScript types with the tsc that it finds. The tests install three versions, and .bin may have any.
  return { ...environment, PATH: `${environment.PATH}:${join(root, "node_modules/typescript/bin")}` };
}
