// `npm run bench`: Headwise beside its peers and the machine's limits, in Node or in a browser.
import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

import { page } from "../../tools/page.mjs";
import { root } from "../../tools/steps.mjs";
import { models } from "./models.mjs";
import { buildBench, foldersBelow, rootUrl } from "./build.mjs";
import { runInBrowser } from "./browser.mjs";
import { pageLongTasks } from "./page_long_tasks.mjs";
import { publish } from "./publish.mjs";
import { progressLine, writeModels, writeReport } from "./report.mjs";
import { rows } from "./rows.mjs";
import { runAll } from "./suite.mjs";

const relaxedFlag = "--experimental-wasm-relaxed-simd";
const allRows = [...rows, ...models].map(({ name }) => name);
const STARTS = 5; // processes whose first result is timed

const help = `npm run bench -- [options]
  --rows a,b           of ${allRows.join(", ")}; default: all
  --threads 1|2|1,2    default: 1,2
  --simd relaxed|simd128       default: relaxed where the engine has it
  --seconds n          of rounds for a row; default: 2.2
  --browser chromium|firefox   in a page's worker instead of Node
  --only a,b           contenders: headwise, onnxruntime, jax-js, tfjs-wasm, plain JS
  --before folder      another build's dist/, to compare with
  --no-tables          the rows alone
  --no-build           what is built already
  --docs               writes the table of whole models into docs/speed.md, too
  --publish            also one JSON in docs/machines, for the site's page of machines
  --out folder         for results.json, results.md and chart.svg; default: build/bench`;

function parse() {
  const text = (value) => ({ type: "string", ...(value && { default: value }) });
  const flag = (value) => ({ type: "boolean", default: value });
  const { values } = parseArgs({
    options: {
      ...{ rows: text(allRows.join()), threads: text("1,2"), simd: text("auto") },
      ...{ seconds: text("2.2"), browser: text(), only: text(), before: text(), out: text("build/bench") },
      ...{ tables: flag(true), build: flag(true), docs: flag(false), publish: flag(false), help: flag(false) },
    },
    allowNegative: true,
  });
  const list = (value) => value?.split(",");
  const unknown = list(values.rows).filter((name) => !allRows.includes(name));
  if (unknown.length > 0) throw new Error(`there is no row ${unknown.join(", ")}\n${help}`);
  return {
    ...values,
    rows: list(values.rows),
    only: list(values.only),
    threads: list(values.threads).map(Number),
    seconds: Number(values.seconds),
  };
}

/** Runs this program again with the flag behind which Node 20 has relaxed SIMD. */
function again() {
  const child = spawn(process.execPath, [relaxedFlag, ...process.argv.slice(1)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 1));
}

/** From load() to the first result in processes of their own, and what an idle pool costs there. */
async function firstResults({ folders, simd, threads }) {
  const program = fileURLToPath(new URL("first_result.mjs", import.meta.url));
  const found = [];
  for (let n = 0; n < STARTS; ++n) {
    const options = { folders, simd, threads: Math.max(...threads), idle: n === 0 };
    const command = [...process.execArgv, program, JSON.stringify(options)];
    found.push(JSON.parse((await promisify(execFile)(process.execPath, command)).stdout));
  }
  return found;
}

async function describeMachine(engine) {
  const version = async (name) => JSON.parse(await readFile(join(root, name, "package.json"), "utf8")).version;
  const packages = ["onnxruntime-web", "@jax-js/jax", "@tensorflow/tfjs-backend-wasm"];
  const peers = await Promise.all(packages.map(async (name) => `${name} ${await version(`node_modules/${name}`)}`));
  return {
    date: new Date().toISOString(),
    processor: cpus()[0].model.trim(),
    cores: cpus().length,
    engine,
    versions: [`headwise ${await version(".")}`, ...peers],
  };
}

async function main(options) {
  const say = (line) => console.error(`[${(performance.now() / 1000).toFixed(0).padStart(4)} s] ${line}`);
  const withPage = options.browser === "chromium" && options.tables; // which alone tells of long tasks
  if (options.build) await buildBench(options);
  if (options.build && withPage) await page();
  const tell = (result) => say(progressLine(result));
  const run = { ...options, say: undefined };
  let results;
  if (options.browser === undefined) {
    const folders = { ...foldersBelow(rootUrl), before: options.before && new URL(`${options.before}/`, rootUrl).href };
    results = await runAll({ ...run, folders }, tell);
    if (options.tables) results.firstResults = await firstResults({ ...run, folders });
    results.machine = await describeMachine(`Node.js ${process.version}`);
  } else {
    const { version, ...found } = await runInBrowser(run, tell);
    results = { ...found, machine: await describeMachine(version) };
    if (withPage) results.longTasks = await pageLongTasks();
  }
  results.seconds = performance.now() / 1000; // building included
  const report = await writeReport(results, resolve(root, options.out));
  console.log(report);
  if (options.docs) await writeModels(results, join(root, "docs/speed.md"));
  say(`written to ${options.out}`);
  if (options.publish) say(`published as ${await publish(results)}`);
}

const options = parse();
const needsFlag = Number.parseInt(process.versions.node) < 22 && !process.execArgv.includes(relaxedFlag);
if (options.help) console.log(help);
else if (needsFlag && options.browser === undefined) again();
else {
  await main(options);
  process.exit(); // peers keep threads
}
