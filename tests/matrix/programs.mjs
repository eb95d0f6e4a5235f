// Runtimes beside browsers, and test runners: what each installs and how it runs app/program.js.
import { consumer, settings } from "../package/consumer.mjs";
import { answering, compiles, program, refused } from "./checks.mjs";
import { recipe, recipeScript } from "./recipes.mjs";

/** Names of platforms as packages of binaries have them. */
const { platform, arch } = process;
const armOr = (arm, other) => (arch === "arm64" ? arm : other);

function node(version, permission) {
  const binary = `node-${platform}-${arch}`;
  const path = `node_modules/${binary}/bin/node`;
  const limited = [path, "--no-warnings", permission, "--allow-fs-read=*", "--allow-fs-write=*", "program.js"];
  return {
    name: `Node ${version.split(".")[0]}`,
    packages: { [binary]: version },
    files: {
      "program.cjs": `
        const { writeFileSync } = require("node:fs");
        (async () => {
          const { compute } = require("./compute.js");
          const results = {};
          for (const entry of ["headwise", "headwise/worker"]) results[entry] = await compute(require(entry), { threads: 2 });
          writeFileSync("results.json", JSON.stringify(results));
        })();`,
      "in-worker.js": `
        import { Worker } from "node:worker_threads";
        new Worker("./program.js", { argv: process.argv.slice(2) });`,
    },
    checks: {
      import: program([path, "program.js"]),
      require: program([path, "program.cjs"]),
      worker_threads: program([path, "in-worker.js"]),
      "`--permission`": program(limited, { threads: 1, entries: ["headwise"] }),
      "`headwise/worker` with `--permission`": refused(
        limited,
        "headwise/worker",
        /^HeadwiseError unsupported: .*(permission|restricted)/,
      ),
    },
  };
}

const runtime = (name, binary, version, [path, ...words]) => ({
  name,
  packages: { [binary]: version },
  checks: { run: program([`node_modules/${binary}/${path}`, ...words, "program.js"]) },
});

/** Cloudflare's runtime: the modules that wrangler would bundle with esbuild, and a socket. */
function workerd(name, date) {
  const binary = `@cloudflare/workerd-${platform}-${armOr("arm64", "64")}`;
  const bundle = ["--bundle", "--format=esm", "--loader:.wasm=copy", "--asset-names=[name]", "--outdir=out"];
  return {
    name,
    packages: { [binary]: "1.20261117.1", esbuild: "0.28.2" },
    write: "the recipe below",
    files: {
      "worker.js": `
        ${recipeScript(recipe("Cloudflare Workers", "js"), "headwise")}
        export default { fetch: async () => Response.json({ headwise: await globalThis.compute("headwise", {}) }) };`,
      "config.capnp": `
        using Workerd = import "/workerd/workerd.capnp";
        const config :Workerd.Config = (services = [(name = "main", worker = .main)], sockets = [(name = "http", http = (), service = "main")]);
        const main :Workerd.Worker = (
          modules = [
            (name = "worker.js", esModule = embed "out/worker.js"),
            (name = "headwise-simd128.wasm", wasm = embed "out/headwise-simd128.wasm"),
          ],
          compatibilityDate = "${date}");`,
    },
    guards: ["serve"],
    checks: {
      serve: answering(
        (port) => [
          `node_modules/${binary}/bin/workerd`,
          "serve",
          "config.capnp",
          "--socket-addr",
          `http=127.0.0.1:${port}`,
        ],
        { headwise: 1 },
        { build: ["esbuild", "worker.js", ...bundle, "--log-level=error"] },
      ),
    },
  };
}

const compilers = ["5.4.5", "5.5.4", "5.7.3", "5.9.3", "6.0.3", "7.0.2"];
const compiler = (version) => `typescript-${version}`;

/** The lines of a test in vitest and jest that leaves what app/program.js leaves. */
const testFile = (imports) => `
  ${imports}
  import { writeFileSync } from "node:fs";
  import * as headwise from "headwise";
  import { compute } from "./compute.js";
  test("headwise", async () => {
    writeFileSync("results.json", JSON.stringify({ headwise: await compute(headwise, { threads: 2 }) }));
  }, 30_000);`;
const inTests = { entries: ["headwise"], quiet: false };

export const programs = [
  node("20.20.2", "--experimental-permission"),
  node("22.23.3", "--permission"),
  node("24.21.0", "--permission"),
  runtime("Deno", `@deno/${platform}-${armOr("arm64", "x64")}-glibc`, "2.9.6", ["deno", "run", "-A"]),
  { ...runtime("Bun", `@oven/bun-${platform}-${armOr("aarch64", "x64")}`, "1.4.5", ["bin/bun"]), guards: ["run"] },
  workerd("workerd", "2026-08-01"),
  workerd("workerd with nodejs_compat", "2026-11-01"), // its default since 2026-08-04
  {
    name: "vitest",
    packages: { vitest: "5.1.1", vite: "8.3.8", jsdom: "31.0.1" },
    files: { "headwise.test.js": testFile(`import { test } from "vitest";`) },
    checks: {
      node: program(["vitest", "run"], inTests),
      jsdom: program(["vitest", "run", "--environment=jsdom"], inTests),
    },
  },
  {
    name: "jest",
    packages: { jest: "30.5.2", "jest-environment-jsdom": "30.5.2" },
    write: "`node --experimental-vm-modules node_modules/.bin/jest`, as for all ES modules",
    files: { "headwise.test.js": testFile("") },
    checks: {
      node: program(["node", "--experimental-vm-modules", "node_modules/.bin/jest"], inTests),
      jsdom: program(["node", "--experimental-vm-modules", "node_modules/.bin/jest", "--env=jsdom"], inTests),
    },
  },
  {
    name: "TypeScript",
    version: compilers.join(", "),
    packages: Object.fromEntries(compilers.map((version) => [compiler(version), `npm:typescript@${version}`])),
    write: "`lib` of ES2020 and DOM; `moduleResolution`: node16, nodenext or bundler",
    files: { "consumer.ts": consumer },
    checks: Object.fromEntries(
      compilers.map((version) => [version, compiles(`node_modules/${compiler(version)}/bin/tsc`, settings)]),
    ),
  },
];
