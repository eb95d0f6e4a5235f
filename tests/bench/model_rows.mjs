// The rows of whole models: ours, and a peer's graphs in several number formats.
import { chosen } from "./contenders/index.mjs";
import { admit, takeTurns } from "./measure.mjs";
import { describe, makeModelInputs, modelError, models } from "./models.mjs";
import { ratio, summary } from "./statistics.mjs";

// Of a result's largest value. F32 differs in the order of sums. What the others lose is in the table.
const tolerances = { F32: 1e-5, BF16: 0.05, int8: 0.2, int4: 0.6 };
const SAMPLE_MS = 1;

async function enter(row, inputs, options) {
  const check = (result) => modelError(result, inputs.reference);
  const entrants = [];
  const records = [];
  for (const contender of chosen(options).filter(({ graphs }) => graphs !== undefined)) {
    for (const threads of options.threads.filter((count) => contender.threadCounts.includes(count))) {
      for (const { name: graph, dtype, ...details } of contender.graphs(row)) {
        const record = { name: contender.name, threads, graph, dtype };
        records.push(record);
        try {
          const entrant = await contender.prepareModel(row, details, inputs, { ...options, threads });
          entrants.push({ ...entrant, record, sampleMs: SAMPLE_MS });
          Object.assign(record, await admit(entrant, check, tolerances[dtype]));
        } catch (failure) {
          const message = String(failure?.message ?? failure).split("\n")[0];
          Object.assign(record, { status: "failed", message });
        }
      }
    }
  }
  return { entrants, records };
}

async function measureModel(row, options) {
  const { entrants, records } = await enter(row, await makeModelInputs(row, options), options);
  const racing = entrants.filter(({ record }) => record.status === "ok");
  const samples = await takeTurns(racing, options.seconds);
  for (const [n, { record }] of racing.entries()) record.samples = samples[n];
  const raced = records.filter((record) => record.samples?.length > 0); // also those that are slow
  const ours = (threads, dtype) =>
    raced.find((own) => own.name === "headwise" && own.threads === threads && own.dtype === dtype);
  const beside = (own, record) =>
    own === undefined || own === record ? undefined : ratio(record.samples, own.samples);
  for (const record of raced) {
    Object.assign(record, summary(record.samples));
    record.ratio = beside(ours(record.threads, "F32"), record);
    record.overInt8 = beside(ours(record.threads, "int8"), record);
    if (record.name === "headwise" && record.threads > 1 && ours(1, record.dtype))
      record.overOneThread = ratio(ours(1, record.dtype).samples, record.samples);
  }
  for (const record of records) delete record.samples;
  for (const entrant of entrants) entrant.dispose();
  return { row: row.name, kind: "model", shape: describe(row), L: row.L, ort: row.ort, records };
}

/** Measures the whole models that the options name. `say` is given each result as it comes. */
export async function runModels(options, say) {
  const results = [];
  for (const row of models.filter(({ name }) => options.rows.includes(name))) {
    results.push(await measureModel(row, options));
    say(results.at(-1));
  }
  return results;
}
