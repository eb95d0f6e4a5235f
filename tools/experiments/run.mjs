// `npm run experiments`: trains, prunes and measures, and writes docs/experiments: data, figures and a page of text.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { build } from "../build.mjs";
import { root } from "../steps.mjs";
import { halveModel, readJson, writeJson, writeWhole } from "./files.mjs";
import { writePage } from "./page.mjs";
import { pruningExperiment } from "./pruning.mjs";
import { textExperiment } from "./real_text.mjs";
import { rankingExperiment } from "./ranking.mjs";
import { full, quick } from "./settings.mjs";
import { twoRelationsExperiment } from "./two_relations.mjs";

const relaxedFlag = "--experimental-wasm-relaxed-simd";
const names = ["two-relations", "text", "pruning", "ranking"];

const help = `npm run experiments -- [options]
  --only a,b     of ${names.join(", ")}; the others' data are read from the folder. Pruning and ranking need the models of the first two
  --page         figures and text alone, from the data in the folder
  --quick        much smaller, in about a minute; its outcomes mean nothing
  --threads n    default: 2
  --out folder   default: docs/experiments; with --quick: build/experiments-quick
  --no-build     what is built already`;

function parse() {
  const flag = (value) => ({ type: "boolean", default: value });
  const { values } = parseArgs({
    options: {
      ...{ only: { type: "string" }, out: { type: "string" }, threads: { type: "string", default: "2" } },
      ...{ page: flag(false), quick: flag(false), build: flag(true), help: flag(false) },
    },
    allowNegative: true,
  });
  const only = values.page ? [] : (values.only?.split(",") ?? names);
  const unknown = only.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`there is no experiment ${unknown.join(", ")}\n${help}`);
  const ours = values.out === undefined && !values.quick;
  const out = resolve(root, values.out ?? (ours ? "docs/experiments" : "build/experiments-quick"));
  // Models to prune are not results, so they are in another folder. The best text model is for the page.
  const models = ours ? join(root, "build/experiments") : join(out, "models");
  const web = ours ? join(root, "web/public/models") : join(out, "web");
  return { ...values, only, out, ours, models, web, threads: Number(values.threads) };
}

/** Runs this program again with the flag that enables relaxed SIMD in Node 20. */
function again() {
  const child = spawn(process.execPath, [relaxedFlag, ...process.argv.slice(1)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 1));
}

const say = (line) => console.error(`[${(performance.now() / 1000).toFixed(0).padStart(4)} s] ${line}`);

/** Runs one experiment and writes its data. */
async function experiment(name, { hw, headwise, options, machine }) {
  const settings = options.quick ? quick : full;
  const context = {
    hw,
    tell: (done, total, sentence) => say(`${name} ${done}/${total}: ${sentence}`),
    saveModel: (model, bytes) => writeWhole(join(options.models, `${model}.safetensors`), bytes),
    readModel: (model) =>
      readFile(join(options.models, `${model}.safetensors`)).catch(() => {
        throw new Error(
          `pruning and ranking need the models of the other experiments, and ${model} is not there: run those, too`,
        );
      }),
    halve: (file, vocabulary) => halveModel(headwise, file, vocabulary),
    async saveBest(bytes, validationText) {
      await writeWhole(join(options.web, "moby-dick.safetensors"), bytes);
      await writeWhole(join(options.web, "moby-dick-validation.txt"), validationText.slice(0, 20_000));
    },
  };
  const start = performance.now();
  const found = await {
    "two-relations": () => twoRelationsExperiment({ ...context, settings: settings.twoRelations }),
    text: () => textExperiment({ ...context, settings: settings.text }),
    pruning: () =>
      pruningExperiment({
        ...context,
        settings: settings.pruning,
        seeds: { text: settings.text.seeds, "two-relations": settings.twoRelations.seeds },
      }),
    ranking: () => rankingExperiment({ ...context, settings }),
  }[name]();
  const times = { minutes: (performance.now() - start) / 60_000, ...found.times };
  await writeJson(join(options.out, `${name}.json`), { machine, ...found, times });
}

async function describeMachine(hw, options) {
  const { version } = await readJson(join(root, "package.json"));
  return {
    date: new Date().toISOString().slice(0, 10),
    ...{ processor: cpus()[0].model.trim(), cores: cpus().length, engine: `Node.js ${process.version}` },
    ...{ headwise: version, simd: hw.info.simd, threads: hw.info.threads, quick: options.quick },
  };
}

async function main(options) {
  if (options.only.length > 0) {
    if (options.build) await build();
    const headwise = await import("../../dist/index.js");
    const hw = await headwise.load({ threads: options.threads });
    try {
      const machine = await describeMachine(hw, options);
      for (const name of names.filter((one) => options.only.includes(one)))
        await experiment(name, { hw, headwise, options, machine });
      const { liveObjects } = hw.memory();
      if (liveObjects > 0) throw new Error(`${liveObjects} objects were not disposed of`);
    } finally {
      hw.dispose();
    }
  }
  const data = await Promise.all(
    names.map((name) => readJson(join(options.out, `${name}.json`)).catch(() => undefined)),
  );
  await writePage(options.out, Object.fromEntries(names.map((name, n) => [name, data[n]])));
  const cached = { "two-relations": "training", text: "pruning" }; // what the page shows before it is asked
  const stale = options.only.filter((name) => name in cached).map((name) => cached[name]);
  if (options.ours && stale.length > 0) {
    say(`what came with the page: ${stale.join(", ")}`);
    const { makeCached } = await import("../../web/tools/make-cached.mjs");
    await makeCached(stale);
  }
  say(`written to ${options.out}`);
}

const options = parse();
const needsFlag = Number.parseInt(process.versions.node) < 22 && !process.execArgv.includes(relaxedFlag);
if (options.help) console.log(help);
else if (needsFlag && options.only.length > 0) again();
else await main(options);
