/**
 * Writes src/learning/cached_training.json and cached_pruning.json: what "Train" and "Prune" show before the reader starts them,
 * computed by the page's own code on the built library. `npm run experiments` runs it; alone: `node web/tools/make-cached.mjs`,
 * after a change of the task, the text model or the page's measurements. The ends of other seeds come from docs/experiments.
 */
import { fileURLToPath, pathToFileURL } from "node:url";
import { createServer } from "vite";

import { readJson, writeJson } from "../../tools/experiments/files.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SEED = 1;
const VALUES = [3, 5, 0, 6];

/** Numbers are rounded to five digits. */
const write = (name, value) => writeJson(here(`../src/learning/${name}`), value);

/** How the runs of the experiments ended: with the page's settings, and one head for longer. */
async function ends({ STEPS, twoRelationsTraining }) {
  const { runs, longer } = await readJson(here("../../docs/experiments/two-relations.json"));
  const of = (heads, steps) => {
    const learningRate = twoRelationsTraining.learningRate(heads);
    const own = runs.filter((run) => run.heads === heads && run.learningRate === learningRate && run.steps === steps);
    if (own.length === 0) throw new Error(`docs/experiments has no runs of ${heads} head(s) at ${learningRate}`);
    own.sort((a, b) => a.seed - b.seed);
    return { heads, steps, accuracy: own.map(({ accuracy }) => accuracy) };
  };
  return { seeds: [1, 2, 4, 8].map((heads) => of(heads, STEPS)), longer: of(longer.heads, longer.steps) };
}

async function training({ Lane, STEPS, twoRelationsTraining }) {
  const lanes = [];
  let parameters;
  for (const heads of [1, 2, 4, 8]) {
    const lane = await Lane.start(heads, SEED);
    try {
      const points = [await lane.measure()];
      while (!lane.done) {
        await lane.advance();
        points.push(await lane.measure());
      }
      const { maps, answers } = await lane.look(VALUES);
      const letters = await lane.letters();
      lanes.push({
        heads,
        steps: points.map(({ step }) => step),
        loss: points.map(({ loss }) => loss),
        accuracy: points.map(({ accuracy }) => accuracy),
        maps: maps.map(({ data }) => Array.from(data, (weight) => Math.round(1000 * weight))),
        ...{ answers, letters },
      });
      parameters = lane.parameterCount;
    } finally {
      await lane.dispose();
    }
  }
  return { seed: SEED, values: VALUES, parameters, lanes, ...(await ends({ STEPS, twoRelationsTraining })) };
}

async function pruning({ Pruner, METHODS, RANDOM_ORDERS, nameOf, hereOf }, base) {
  const { signal } = new AbortController();
  const pruner = await Pruner.start(base, () => {});
  try {
    const random = Array.from({ length: RANDOM_ORDERS }, (_, seed) => ({ method: "random", seed }));
    const removals = [];
    const heres = [];
    for (const scoring of [...METHODS.map((method) => ({ method })), ...random]) {
      const removal = await pruner.remove(scoring, signal, () => {});
      const name = nameOf(scoring);
      const order = removal.order.flatMap(({ layer, head }) => [layer, head]);
      removals.push({ name, importance: removal.importance, order, losses: removal.losses });
      if (scoring.seed > 0) continue; // the page shows only the first random order in detail
      for (let removed = 0; removed <= removal.order.length; ++removed) {
        const here = { name: hereOf(name, removed), text: "" };
        if (scoring.method !== "random") {
          const { before, after } = await pruner.cost(removal, removed, signal);
          const short = ({ bytes }) => ({ bytes }); // times are the reader's own machine's
          here.cost = { before: short(before), after: short(after) };
        }
        await pruner.write(removal, removed, signal, (text) => (here.text = text));
        heres.push(here);
      }
    }
    const { heads } = pruner;
    const removed = Math.round(heads.reduce((sum, count) => sum + count, 0) / 4);
    return { heads, removed, removals, heres };
  } finally {
    await pruner.dispose();
  }
}

/** @param only "training", "pruning": which to write; both without */
export async function makeCached(only = ["training", "pruning"]) {
  // Vite runs the TypeScript of the page here and serves the model to it.
  const server = await createServer({ configFile: here("../vite.config.ts"), server: { port: 0 }, logLevel: "warn" });
  try {
    await server.listen();
    const load = (name) => server.ssrLoadModule(`/src/learning/${name}`);
    if (only.includes("training")) {
      const code = { ...(await load("lane.ts")), ...(await load("two_relations.mjs")) };
      await write("cached_training.json", await training(code));
    }
    if (only.includes("pruning")) {
      const code = { ...(await load("pruner.ts")), ...(await load("prunings.ts")) };
      await write("cached_pruning.json", await pruning(code, new URL("models/", server.resolvedUrls.local[0])));
    }
  } finally {
    await server.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  await makeCached(process.argv.length > 2 ? process.argv.slice(2) : undefined);
