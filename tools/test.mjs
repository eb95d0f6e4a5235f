// `npm test`: sets up, builds and runs every test, cheapest first. `npm test -- js browser` runs only these stages;
// `npm test -- --quick` runs the part that finds most faults of an edit.
import { join } from "node:path";

import { binaries, build, cmake } from "./build.mjs";
import { format } from "./format.mjs";
import { fuzzers } from "./fuzz.mjs";
import { page } from "./page.mjs";
import { installPackages, installPrograms } from "./setup.mjs";
import { soak } from "./soak.mjs";
import { main, root, run, step } from "./steps.mjs";

const relaxed = "--experimental-wasm-relaxed-simd"; // Node 20 has relaxed SIMD behind this flag, newer ones without
const counts = { passed: 0, failed: 0 };
const skips = new Set(); // what was not tested, and why

/** Runs a test, which passes if its commands pass. Later tests run also after a failure, so that one run shows all failures. */
async function test(title, work) {
  try {
    await step(title, work);
    ++counts.passed;
  } catch (error) {
    console.error(`✗ ${title}: ${error.message}`);
    ++counts.failed;
  }
}

/** Runs tests two at a time: most keep one core busy. */
async function twoAtATime(tests) {
  const waiting = [...tests];
  const lane = async () => {
    while (waiting.length > 0) await waiting.shift()();
  };
  await Promise.all([lane(), lane()]);
}

/** Runs the test files of a folder with Node's test runner: all, or those with these names. `quick`: they may test less. */
async function nodeTests(node, flags, folder, { concurrency = 1, names = ["*"], quick = false } = {}) {
  const reporter = ["--test", "--test-reporter=./tests/support/reporter.mjs", `--test-concurrency=${concurrency}`];
  const files = names.map((name) => `tests/${folder}/${name}.test.mjs`).join(" ");
  const env = quick ? { ...process.env, HEADWISE_QUICK: "1" } : process.env;
  const onLine = (line) => line.startsWith("  skipped: ") && skips.add(line.slice("  skipped: ".length));
  await run("bash", ["-c", `exec "$@" ${files}`, "bash", node, ...flags, ...reporter], { env, onLine });
}

/** The path of a Node of another version. */
const nodeOf = async (major) => (await run("bash", ["tools/node.sh", major], { capture: true })).trim();

/**
 * The stages whose tests keep one core busy, the longest first: two of these stages run at a time, after the others; with `--quick`
 * all but js.
 */
const oneCore = ["package", "site", "fuzz", "soak", "hosts", "bench", "experiments", "conformance"];

/** The stages of `--quick`, which test less then. */
const quickStages = ["format", "repository", "types", "native", "wasm", "js", "package"];

const stages = {
  async format() {
    await test("Formatting", () => format({ write: false }));
  },
  async repository() {
    await test("Lock file, versions, links", () => nodeTests("node", [], "repository"));
  },
  async types() {
    await test("Rooms: imports point down", () => nodeTests("node", [], "types"));
    const tsc = (project) => run("node", ["node_modules/typescript/bin/tsc", "-p", project]);
    await test("Types: hand-written ones agree with the embind table", () => tsc("tests/types"));
    await test("Types: the page", () =>
      run("node", ["node_modules/svelte-check/bin/svelte-check", "--workspace", "web", "--fail-on-warnings"]));
  },
  async native(environment, quick) {
    // The core returns a status if memory does not suffice; without this the sanitizers would end the program.
    const sanitizers = { ASAN_OPTIONS: "allocator_may_return_null=1", TSAN_OPTIONS: "allocator_may_return_null=1" };
    if (!quick) await test("The native bench compiles", () => cmake("native", environment, "headwise_bench_native"));
    const presets = { native: "native", ...(!quick && { asan: "ASan and UBSan", tsan: "TSan" }) };
    // Half of the sanitizers' time, and no code of the core that other cases do not run: the oracle's own tests, a long training, and
    // gradients by differences of the oracle's loss.
    const long = [
      "it learns to copy",
      "the oracle*",
      "gradients are the slopes*",
      "gradients with padding and positions*",
    ];
    const compileAndRun = async (preset) => {
      await cmake(preset, environment);
      const env = { ...process.env, ...sanitizers };
      const args = ["--minimal", ...(preset === "native" ? [] : [`--test-case-exclude=${long}`])];
      await run(join(root, `build/${preset}/tests/cpp/headwise_tests`), args, { env });
    };
    await twoAtATime(
      Object.entries(presets).map(
        ([preset, title]) =>
          () =>
            test(`C++, ${title}`, () => compileAndRun(preset)),
      ),
    );
  },
  async wasm(environment, quick) {
    const newest = quick ? undefined : await nodeOf("24");
    const compileAndRun = async (preset) => {
      await cmake(preset, environment);
      const program = `build/${preset}/tests/cpp/headwise_tests.cjs`;
      await run("node", [relaxed, program, "--minimal"]);
      if (newest) await run(newest, [program, "--minimal"]);
    };
    const title = (preset) => `C++, WebAssembly ${preset}, in this Node${newest ? " and Node 24" : ""}`;
    const presets = quick ? ["relaxed"] : binaries;
    await twoAtATime(presets.map((preset) => () => test(title(preset), () => compileAndRun(preset))));
  },
  async js(_, quick) {
    const tests = (title, node, flags, options) =>
      test(`JavaScript, ${title}`, async () =>
        nodeTests(await node, ["--expose-gc", ...flags], "js", { concurrency: 2, ...options }));
    await tests("this Node", "node", [relaxed], { quick });
    if (quick) return;
    // Chromium runs all of these cases in a V8 that is newer still.
    const sample = { 22: ["api", "load"], 24: ["api", "load", "hosts", "jax"] };
    await twoAtATime(
      Object.entries(sample).map(([major, names]) => () => {
        const options = { names, quick: true, concurrency: 1 };
        return tests(`a sample in Node ${major}`, nodeOf(major), [], options);
      }),
    );
  },
  async models() {
    await test("Published models, in this Node and in browsers", () =>
      nodeTests("node", [], "models", { concurrency: 2 }));
    await test("Analyses of whole models, in this Node and in Chromium", () =>
      nodeTests("node", [], "inside", { concurrency: 2 }));
    await test("Published models' files, in Node 24", async () =>
      nodeTests(await nodeOf("24"), [], "models", {
        concurrency: 2,
        names: ["files", "broken_files", "folder_cache", "tokenizer"],
      }));
  },
  async conformance() {
    await test("ONNX's own cases, and ONNX Runtime as a peer", () => nodeTests("node", [relaxed], "conformance"));
  },
  async fuzz(environment) {
    await installPrograms("fuzz");
    for (const [name, fuzz] of Object.entries(fuzzers)) {
      await test(`Random calls: ${name}`, () => fuzz(environment, 15, 1));
    }
  },
  async soak() {
    await test("Models opened, used and disposed at random for a minute", () => soak(60, 1));
  },
  async package(_, quick) {
    const names = quick ? ["contents"] : ["*"];
    await test("The package in an empty project", () => nodeTests("node", [], "package", { names }));
    if (!quick) await test("The same bytes from another folder", () => run("node", ["tools/reproduce.mjs", "--quick"]));
  },
  async hosts() {
    await test("The package in bundlers and runtimes", () => run("node", ["tests/matrix/run.mjs", "--guards"]));
  },
  async browser() {
    await test("The package in Chromium, Firefox and WebKitGTK", () =>
      nodeTests("node", [], "browser", { concurrency: 3 }));
  },
  async bench() {
    await test("The bench, on one small row", async () => nodeTests(await nodeOf("24"), [], "bench"));
  },
  async experiments() {
    await test("The experiments, in small", () => nodeTests("node", [], "experiments"));
  },
  async site() {
    await test("The site, and its samples", () => nodeTests("node", [], "site"));
  },
  async page() {
    await test("The page", () => nodeTests("node", [relaxed], "page", { concurrency: 2 }));
  },
};

main(async () => {
  const quick = process.argv.includes("--quick");
  const named = process.argv.slice(2).filter((name) => name !== "--quick");
  const unknown = named.filter((name) => !(name in stages));
  if (unknown.length > 0)
    throw new Error(`there is no stage ${unknown.join(", ")}; there are ${Object.keys(stages).join(", ")}`);
  await installPackages();
  await installPrograms("build", "test");
  const environment = quick ? await build() : await page();
  const chosen = named.length > 0 ? named : quick ? quickStages : Object.keys(stages);
  const names = Object.keys(stages).filter((name) => chosen.includes(name));
  const start = (name) => stages[name](environment, quick);
  const paired = quick ? names.filter((name) => name !== "js") : oneCore.filter((name) => names.includes(name));
  for (const name of names.filter((name) => !paired.includes(name))) await start(name);
  await twoAtATime(paired.map((name) => () => start(name)));
  console.log();
  for (const skipped of skips) console.log(`not tested: ${skipped}`);
  console.log(`${counts.passed} passed, ${counts.failed} failed${skips.size > 0 ? `, ${skips.size} skipped` : ""}`);
  if (counts.failed > 0) process.exit(1);
});
