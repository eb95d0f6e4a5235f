// Shared by all tools: runs commands, reports steps, and checks what is up to date. Uses only Node's own modules, because
// it runs before anything is installed.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Runs a command in the repository, or in `cwd`. With `capture` it resolves with the standard output. Rejects if the command fails or takes more
 * than `timeout` ms. `onLine` is called for each line of the output, which is also shown.
 */
export function run(command, args, { cwd = root, env = process.env, capture = false, onLine, timeout } = {}) {
  return new Promise((done, fail) => {
    const stdio = ["ignore", capture || onLine ? "pipe" : "inherit", "inherit"];
    const child = spawn(command, args, { cwd, env, stdio, timeout, killSignal: "SIGKILL" });
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (onLine) process.stdout.write(text);
    });
    child.on("error", (error) => fail(new Error(`${command}: ${error.message}`)));
    if (onLine) child.on("close", () => output.split("\n").forEach((line) => onLine(line)));
    child.on("close", (code, signal) =>
      code === 0 ? done(output) : fail(new Error(`${[command, ...args].join(" ")} failed (${signal ?? code})`)),
    );
  });
}

/** Prints a step's title, runs it, and prints how long it took. */
export async function step(title, work) {
  const start = performance.now();
  console.log(`\n▸ ${title}`);
  const result = await work();
  console.log(`  ${title}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Runs a tool. If it fails, prints the message and ends the process. */
export function main(work) {
  work().catch((error) => {
    console.error(`\n✗ ${error.message}`);
    process.exit(1);
  });
}

/** Writes a file unless it already has that content, so that dependent files stay up to date. */
export async function writeIfChanged(path, content) {
  const old = await readFile(path).catch(() => undefined);
  if (old === undefined || !old.equals(Buffer.from(content))) await writeFile(path, content);
}

function filesIn(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesIn(join(path, name)));
}

/** Whether `output` exists and is newer than all files at or in `inputs` (paths in the repository). */
export function upToDate(output, inputs) {
  const path = join(root, output);
  if (!existsSync(path)) return false;
  const made = statSync(path).mtimeMs;
  return inputs.flatMap((input) => filesIn(join(root, input))).every((input) => statSync(input).mtimeMs <= made);
}
