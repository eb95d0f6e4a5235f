// One run of the rows, in Node or in a page's worker: the same code in both.
import { relaxedSimd } from "wasm-feature-detect";

import * as core from "./contenders/core.mjs";
import { chosen } from "./contenders/index.mjs";
import { errorOf, makeInputs, makeReference } from "./inputs.mjs";
import { limitEntrants, readEntrants } from "./limits.mjs";
import { admit, takeTurns } from "./measure.mjs";
import { runModels } from "./model_rows.mjs";
import { describe, flops, hasKind, kinds, readBytes, rows } from "./rows.mjs";
import { median, ratio, summary } from "./statistics.mjs";
import * as tables from "./tables.mjs";

const CORE_SAMPLE_MS = 5;
const SAMPLE_MS = 1;
const HOPELESS_MS = 10_000; // of attention alone: the whole block is left out

/** In Node, Emscripten's JavaScript leaves a Worker behind, by which jax-js would take Node for a browser. */
async function keepingGlobals(work) {
  const before = Object.getOwnPropertyDescriptor(globalThis, "Worker");
  try {
    return await work();
  } finally {
    if (before === undefined) delete globalThis.Worker;
  }
}

/** Everyone who is to take part in a row, prepared and checked; those who cannot are in the records alone. */
async function enter(row, kind, options, hopeless) {
  const inputs = makeInputs(row, kind);
  const reference = makeReference(row, kind, inputs);
  const check = (result) => errorOf(result, reference, row);
  const entrants = [];
  const records = [];
  for (const contender of [core, ...chosen(options)]) {
    for (const threads of options.threads.filter((count) => contender.threadCounts.includes(count))) {
      const record = { name: contender.name, threads };
      records.push(record);
      const coreMs = hopeless.get(`${row.name} ${contender.name}`);
      if (coreMs !== undefined) {
        const message = `its attention alone took ${(coreMs / 1000).toFixed(0)} s`;
        Object.assign(record, { status: "left out", message, atLeastMs: coreMs });
        continue;
      }
      await keepingGlobals(async () => {
        const entrant = await contender.prepare(row, kind, inputs, { ...options, threads });
        entrants.push({ ...entrant, record, sampleMs: contender === core ? CORE_SAMPLE_MS : SAMPLE_MS });
        Object.assign(record, await admit(entrant, check));
        const [first] = record.samples ?? [];
        if (first > HOPELESS_MS) hopeless.set(`${row.name} ${contender.name}`, first);
      }).catch((failure) => {
        const message = String(failure?.message ?? failure).split("\n")[0];
        Object.assign(record, { status: "failed", message });
      });
    }
  }
  return { entrants, records };
}

/** The core's speed beside the limit's best of the run so far. */
function shareOfLimit(row, kind, record, limitRecords) {
  const bytes = readBytes(row, kind);
  const bound = limitRecords.find(({ limit, threads }) => {
    return threads === record.threads && (bytes === undefined ? limit !== "read" : limit === "read");
  });
  const work = (bytes ?? flops(row, kind)) / 1e6;
  const { name, speed } = bound;
  return { name, speed, best: work / record.best / speed, median: work / record.median / speed };
}

/** A limit that a busy minute hides is still the limit: shares of the best that the whole run has seen. */
function settleShares(results, best) {
  for (const { limit } of results.flatMap(({ records }) => records)) {
    if (limit === undefined) continue;
    const factor = limit.speed / best[limit.name];
    Object.assign(limit, { speed: best[limit.name], best: factor * limit.best, median: factor * limit.median });
  }
}

/** Adds to each record its times, its share of the limit and its ratio to our own time with as many threads. */
function evaluate(row, kind, records, limitRecords) {
  const raced = records.filter(({ samples }) => samples?.length > 0);
  const ours = (threads) => raced.find((record) => record.name === "headwise" && record.threads === threads)?.samples;
  for (const record of raced) {
    const { name, threads, samples, status } = record;
    Object.assign(record, summary(samples));
    record.gflops = flops(row, kind) / record.best / 1e6;
    if (name === "core") record.limit = shareOfLimit(row, kind, record, limitRecords);
    else if (name !== "headwise" && ours(threads)) {
      record.ratio = ratio(samples, status === "slow" ? [median(ours(threads))] : ours(threads));
    } else if (threads > 1 && ours(1)) record.overOneThread = ratio(ours(1), samples);
  }
  for (const record of records) {
    const own = ours(record.threads);
    if (record.atLeastMs && own) record.atLeast = record.atLeastMs / median(own);
  }
  for (const record of records) delete record.samples;
}

async function measureRow(row, kind, options, { best, hopeless }) {
  const { entrants, records } = await enter(row, kind, options, hopeless);
  const racing = entrants.filter(({ record }) => record.status === "ok");
  const bounds = [...(await limitEntrants(options)), ...readEntrants(row, kind, racing)];
  const samples = await takeTurns([...racing, ...bounds], options.seconds);
  for (const [n, { record }] of racing.entries()) record.samples = samples[n];
  const limitRecords = bounds.map(({ limit, threads, unit, name }, n) => {
    const own = samples[racing.length + n];
    best[name] = Math.max(best[name] ?? 0, unit / Math.min(...own) / 1e6);
    return { name, limit, threads, speed: best[name] };
  });
  evaluate(row, kind, records, limitRecords);
  for (const entrant of entrants) entrant.dispose();
  return { row: row.name, kind, shape: describe(row), targets: row.targets[kind], records };
}

/** Runs the rows that the options name. `say` is given each result as it comes. */
export async function runRows(options, say) {
  const best = {}; // speed of each limit, GFLOP/s or GB/s
  const hopeless = new Map(); // how long their attention took
  const results = [];
  for (const row of rows.filter(({ name }) => options.rows.includes(name))) {
    for (const kind of kinds.filter((candidate) => hasKind(row, candidate))) {
      results.push(await measureRow(row, kind, options, { best, hopeless }));
      say(results.at(-1));
    }
  }
  settleShares(results, best);
  return { rows: results, limits: best };
}

/**
 * The rows, and unless the options say otherwise the tables of our own. `simd` "auto": the faster build that there is.
 * Learning comes first: in a browser jax-js trains four times as slowly once it has had the long rows.
 */
export async function runAll({ simd: asked, ...options }, say) {
  const simd = asked === "auto" ? ((await relaxedSimd()) ? "relaxed" : "simd128") : asked;
  const results = { simd };
  const { learning, ...others } = tables;
  const fill = async (chosenTables) => {
    for (const [name, table] of Object.entries(options.tables ? chosenTables : {})) {
      results[name] = await table({ ...options, simd });
      say({ table: name });
    }
  };
  await fill({ learning });
  Object.assign(results, await runRows({ ...options, simd }, say));
  results.models = await runModels({ ...options, simd }, say);
  await fill(others);
  return results;
}
