// `npm test`: sets up, builds and runs every test, cheapest first. `npm test -- js browser` runs the named stages alone.
import { join } from "node:path";

import { binaries, cmake } from "./build.mjs";
import { format } from "./format.mjs";
import { fuzzers } from "./fuzz.mjs";
import { page } from "./page.mjs";
import { installPackages, installPrograms } from "./setup.mjs";
import { main, root, run, step } from "./steps.mjs";

const relaxed = "--experimental-wasm-relaxed-simd"; // Node 20 has relaxed SIMD behind this flag, newer ones without
const counts = { passed: 0, failed: 0 };

/** A test: it has passed when its commands have. All run, so that one run shows all failures. */
async function test(title, work) {
  try {
    await step(title, work);
    ++counts.passed;
  } catch (error) {
    console.error(`✗ ${title}: ${error.message}`);
    ++counts.failed;
  }
}

/** Runs files with Node's test runner; they belong to the stage's folder. */
function nodeTests(node, flags, folder, { concurrency = 1 } = {}) {
  const reporter = ["--test", "--test-reporter=./tests/support/reporter.mjs", `--test-concurrency=${concurrency}`];
  return run("bash", ["-c", 'exec "$@" tests/"$0"/*.test.mjs', folder, node, ...flags, ...reporter]);
}

/** The newest Node that we promise for, beside the one that runs this. */
const newerNode = async () => (await run("bash", ["tools/node24.sh"], { capture: true })).trim();

const stages = {
  async format() {
    await test("Formatting", () => format({ write: false }));
  },
  async types() {
    await test("Rooms: imports point down", () => nodeTests("node", [], "types"));
    const tsc = (project) => run("node", ["node_modules/typescript/bin/tsc", "-p", project]);
    await test("Types: hand-written ones agree with the embind table", () => tsc("tests/types"));
    await test("Types: the page", () =>
      run("node", ["node_modules/svelte-check/bin/svelte-check", "--workspace", "web", "--fail-on-warnings"]));
  },
  async native(environment) {
    // What does not fit is refused by a status in the core, where the sanitizers would end the program.
    const sanitizers = { ASAN_OPTIONS: "allocator_may_return_null=1", TSAN_OPTIONS: "allocator_may_return_null=1" };
    await test("The native bench compiles", () => cmake("native", environment, "headwise_bench_native"));
    for (const [preset, title] of Object.entries({ native: "native", asan: "ASan and UBSan", tsan: "TSan" })) {
      await test(`C++, ${title}`, async () => {
        await cmake(preset, environment);
        await run(join(root, `build/${preset}/tests/cpp/headwise_tests`), ["--minimal"], {
          env: { ...process.env, ...sanitizers },
        });
      });
    }
  },
  async wasm(environment) {
    const newer = await newerNode();
    for (const preset of binaries) {
      await test(`C++, WebAssembly ${preset}, in both versions of Node`, async () => {
        await cmake(preset, environment);
        const program = `build/${preset}/tests/cpp/headwise_tests.cjs`;
        await run("node", [relaxed, program, "--minimal"]);
        await run(newer, [program, "--minimal"]);
      });
    }
  },
  async js() {
    const newer = await newerNode();
    await test("JavaScript, this Node", () => nodeTests("node", [relaxed, "--expose-gc"], "js", { concurrency: 2 }));
    await test("JavaScript, newer Node", () => nodeTests(newer, ["--expose-gc"], "js", { concurrency: 2 }));
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
  async package() {
    await test("The package in an empty project", () => nodeTests("node", [], "package", { concurrency: 2 }));
  },
  async browser() {
    await test("The package in Chromium, Firefox and WebKitGTK", () => nodeTests("node", [], "browser"));
  },
  async bench() {
    await test("The bench, on one small row", async () => nodeTests(await newerNode(), [], "bench"));
  },
  async experiments() {
    await test("The experiments, in small", () => nodeTests("node", [], "experiments"));
  },
  async page() {
    await test("The page", () => nodeTests("node", [relaxed], "page"));
  },
};

main(async () => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !(name in stages));
  if (unknown.length > 0)
    throw new Error(`there is no stage ${unknown.join(", ")}; there are ${Object.keys(stages).join(", ")}`);
  await installPackages();
  await installPrograms("build", "test");
  const environment = await page();
  for (const [name, stage] of Object.entries(stages)) {
    if (chosen.length === 0 || chosen.includes(name)) await stage(environment);
  }
  console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
  if (counts.failed > 0) process.exit(1);
});
