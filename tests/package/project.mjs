// An empty project in a temporary folder with nothing but our packed tarball installed: what a user has.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { root } from "../../tools/steps.mjs";

/** Runs a program to its end, at most `seconds`. Does not throw: `code` is null when it had to be killed. */
export function run(program, args, { cwd = root, seconds = 60 } = {}) {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { cwd, timeout: seconds * 1000, killSignal: "SIGKILL" },
      (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr, text: stdout + stderr }),
    );
    child.stdin?.end();
  });
}

async function npm(args, cwd) {
  const { code, stdout, text } = await run("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund"], { cwd });
  if (code !== 0) throw new Error(`npm ${args.join(" ")}: ${text}`);
  return stdout;
}

/** The Node.js versions that the package is tested with: this one (20 or newer), 22 and 24. */
export async function nodes() {
  const paths = new Set([process.execPath]);
  for (const major of ["22", "24"]) {
    const { code, stdout, text } = await run("bash", ["tools/node.sh", major], { seconds: 300 });
    if (code !== 0) throw new Error(text);
    paths.add(stdout.trim());
  }
  return Promise.all(
    [...paths].map(async (path) => {
      const version = (await run(path, ["-p", "process.versions.node"])).stdout.trim();
      return { path, version, major: Number.parseInt(version) };
    }),
  );
}

/** Packs the repository, and installs the tarball in an empty project: an ES module package without dependencies. */
export async function makeProject() {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "headwise-package-")));
  const write = async (files) => {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  };
  const [packed] = JSON.parse(await npm(["pack", "--json", "--pack-destination", folder], root));
  const tarball = join(folder, packed.filename);
  await write({ "package.json": '{ "private": true, "type": "module" }' });
  await npm(["install", tarball], folder);
  return {
    folder,
    tarball,
    /** Paths in the tarball. */
    files: packed.files.map(({ path }) => path).sort(),
    /** The installed package. */
    installed: join(folder, "node_modules/headwise"),
    manifest: JSON.parse(await readFile(join(folder, "node_modules/headwise/package.json"), "utf8")),
    write,
    run: (program, args, options) => run(program, args, { cwd: folder, ...options }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Scaled dot-product attention of x [rows, width] with itself, one head, in the plainest JavaScript. */
export function attend(x, rows, width) {
  const row = (i) => x.slice(i * width, (i + 1) * width);
  return Array.from({ length: rows }, (_, i) => {
    const dot = (j) => row(i).reduce((sum, value, d) => sum + value * row(j)[d], 0);
    const weights = Array.from({ length: rows }, (_, j) => Math.exp(dot(j) / Math.sqrt(width)));
    const total = weights.reduce((sum, weight) => sum + weight);
    return Array.from({ length: width }, (_, d) => weights.reduce((sum, w, j) => sum + (w / total) * row(j)[d], 0));
  }).flat();
}

/** The input of all these tests, [5, 3], and the source that makes it. */
export const rows = 5;
export const width = 3;
export const inputSource = `Float32Array.from({ length: ${rows * width} }, (_, i) => Math.sin(i))`;
export const expected = attend(
  Array.from({ length: rows * width }, (_, i) => Math.sin(i)),
  rows,
  width,
);

/** Largest difference from what is expected; NaN when a value is missing. */
export function difference(output) {
  if (output.length !== expected.length) return NaN;
  return Math.max(...expected.map((value, i) => Math.abs(value - output[i])));
}
