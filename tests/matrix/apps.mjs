// The small app of an environment: a folder of its own with the environment's packages, ours, and the app's files.
import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { run as runProgram } from "../package/project.mjs";
import { start } from "../support/processes.mjs";

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "headwise/matrix");
const sharedFiles = fileURLToPath(new URL("app", import.meta.url));
const RUN_SECONDS = 180;
const before = "2026-11-26"; // npm takes nothing that was published later: the same packages every time

/** What keeps tools quiet: they would report to their makers, look for updates, or draw. */
const environment = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", DENO_NO_UPDATE_CHECK: "1" };

/** Runs a program to its end, and resolves with what it has printed. */
async function must(program, args, options) {
  const { code, text } = await runProgram(program, args, options);
  if (code !== 0) throw new Error(`${[program, ...args].join(" ")} (${code}):\n${text}`);
}

/** A folder with these packages in node_modules, by name and version. It is made once, and kept. */
async function installed(packages) {
  const list = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  const hash = createHash("sha256")
    .update([before, ...list].join())
    .digest("hex")
    .slice(0, 12);
  const folder = join(cache, `${list[0].replace("/", "-")}-${hash}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const partial = await mkdtemp(join(cache, "partial-"));
  try {
    await writeFile(join(partial, "package.json"), '{ "private": true }');
    const quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", `--before=${before}`];
    await must("npm", ["install", ...quietly, ...list], { cwd: partial, seconds: 300 });
    await rename(partial, folder).catch(() => {}); // somebody else was faster
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return folder;
}

/**
 * Makes an app. `shared`: where in it the files of app/ are. `node` is the Node.js that its tools run in, `headwise` the folder of our package.
 * @returns {Promise<App>}
 */
export async function makeApp({ packages = {}, files = {}, shared = "." }, { node, headwise }) {
  const source = Object.keys(packages).length > 0 ? await installed(packages) : undefined;
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "app-")); // beside the packages, so that links lead there
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.on("exit", remove);
  if (source) await must("cp", ["-al", join(source, "node_modules"), folder]);
  await cp(headwise, join(folder, "node_modules/headwise"), { recursive: true });
  await cp(sharedFiles, join(folder, shared), { recursive: true });
  const processes = [];
  /** A tool is a program of a package by its name, or one by its path in the folder. */
  const command = ([name, ...args]) => {
    if (name === "node") return [node, ...args];
    if (name.includes("/")) return [join(folder, name), ...args];
    return [node, join(folder, "node_modules/.bin", name), ...args];
  };
  const app = {
    folder,
    async write(more) {
      for (const [name, text] of Object.entries(more)) {
        await mkdir(dirname(join(folder, name)), { recursive: true });
        await writeFile(join(folder, name), text);
      }
    },
    read: (name) => readFile(join(folder, name), "utf8"),
    /** Starts a tool; `output()` is what it has printed, and `ended` becomes its exit code. */
    start(words) {
      const [program, ...args] = command(words);
      let text = "";
      const child = start(processes, program, args, {
        cwd: folder,
        env: environment,
        stdio: ["ignore", "pipe", "pipe"],
      });
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (text += data));
      return { output: () => text, ended: new Promise((resolve) => child.once("close", resolve)) };
    },
    /** Runs a tool to its end, and resolves with what it has printed. */
    async run(words) {
      const { output, ended } = app.start(words);
      const code = await Promise.race([
        ended,
        sleep(RUN_SECONDS * 1000, `not within ${RUN_SECONDS} s`, { ref: false }),
      ]);
      if (code !== 0) throw new Error(`${words.join(" ")} did not end well (${code}):\n${output()}`);
      return output();
    },
    async remove() {
      await Promise.all(processes.map(({ end }) => end()));
      process.off("exit", remove);
      remove();
    },
  };
  await app.write({ "package.json": '{ "private": true, "type": "module" }', ...files });
  return app;
}
