// Results as people read them: a line of progress, Markdown tables, a chart.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { chart } from "./chart.mjs";
import { peers } from "./contenders/index.mjs";
import { megabytes, ms, percent, table, times } from "./format.mjs";
import { asPeopleRun, modelLine, modelsTable } from "./model_report.mjs";
import { kinds } from "./rows.mjs";
import { median } from "./statistics.mjs";

const find = (records, name, threads) => records.find((record) => record.name === name && record.threads === threads);

function ratioCell(record) {
  if (record === undefined) return "–";
  if (record.atLeast !== undefined) return `> ${times(record.atLeast)} †`;
  if (record.ratio === undefined) return record.status === "ok" || record.status === "slow" ? "–" : record.status;
  const { median: middle, q1, q3, best } = record.ratio;
  if (record.status === "slow") return `${times(middle)} *`;
  return `**${times(middle)}** [${q1.toFixed(2)}–${q3.toFixed(2)}], best ${times(best)}`;
}

/** A line for stderr. */
export function progressLine({ row, kind, table: name, records }) {
  if (name !== undefined) return `table: ${name}`;
  if (kind === "model") return modelLine(row, records);
  const parts = [];
  for (const ours of records.filter((record) => record.name === "headwise")) {
    const core = find(records, "core", ours.threads);
    const others = records.filter(({ ratio, threads }) => ratio && threads === ours.threads);
    parts.push(
      `${ours.threads} thread${ours.threads > 1 ? "s" : ""}: ${ours.best ? `${ms(ours.best)} ms` : ours.status}`,
      ...(core?.limit ? [`${core.gflops.toFixed(1)} GFLOP/s, ${percent(core.limit.best)} of the limit`] : []),
      ...others.map(({ name: other, ratio }) => `${other} ${times(ratio.median)}`),
    );
  }
  const out = new Set(records.filter(({ message, status }) => message || status === "wrong").map(({ name }) => name));
  return [`${row} ${kind}:`, parts.join(", "), ...(out.size > 0 ? [`(out: ${[...out].join(", ")})`] : [])].join(" ");
}

/** One line a row and number of threads. */
function rowsTable(results, kind) {
  const lines = results
    .filter((result) => result.kind === kind)
    .flatMap(({ row, shape, targets, records }) =>
      records
        .filter(({ name }) => name === "headwise")
        .map((ours) => {
          const core = find(records, "core", ours.threads);
          const target = (value, show) => (value === undefined ? "" : ` (≥ ${show(value)})`);
          return [
            `${row}: ${shape}`,
            ours.threads,
            ours.best === undefined
              ? `${ours.status} ${ours.message ?? ""}`
              : `${ms(ours.median)}, ${ms(ours.best)}${targets.ms === undefined ? "" : ` (≤ ${targets.ms})`}`,
            core?.best === undefined ? "–" : `${ms(core.median)}, ${ms(core.best)}`,
            core?.gflops?.toFixed(1) ?? "–",
            core?.limit
              ? `${percent(core.limit.best)}, median ${percent(core.limit.median)}${target(targets.limit, percent)}`
              : "–",
            ...["before", ...peers].map((name) => {
              const cell = ratioCell(find(records, name, ours.threads));
              return name === "onnxruntime" ? cell + target(targets.ort, times) : cell;
            }),
            ours.overOneThread ? `${times(ours.overOneThread.median)}, best ${times(ours.overOneThread.best)}` : "–",
          ];
        }),
    );
  const head = ["row", "threads", "ms: median, best", "in the core", "GFLOP/s", "share of limit (target)"];
  const withBefore = lines.some((line) => line[head.length] !== "–");
  const columns = [
    ...head,
    "before",
    ...peers.map((name) => (name === "onnxruntime" ? `${name} (target)` : name)),
    "2 threads over 1",
  ];
  const keep = (cells) => cells.filter((_, n) => withBefore || n !== head.length);
  return table(keep(columns), lines.map(keep));
}

/** Who did not finish which rows and why. */
function failures(results) {
  const places = new Map();
  for (const { row, kind, records } of results) {
    for (const { name, graph, status, message, error } of records) {
      if (message === undefined && status !== "wrong") continue;
      const why = `${[name, graph].filter(Boolean).join(" ")} ${status}: ${message ?? `relative error ${error}`}`;
      places.set(why, (places.get(why) ?? new Set()).add(`${row} ${kind}`));
    }
  }
  if (places.size === 0) return "Everyone finished every row with the right result.";
  return [...places].map(([why, where]) => `- ${[...where].join(", ")}: ${why}`).join("\n");
}

/** Every time that was taken. */
function allTimes(results) {
  const lines = results.flatMap(({ row, kind, records }) =>
    records.map((r) => [
      `${row} ${kind}`,
      r.name,
      r.threads,
      r.status,
      ms(r.median),
      ms(r.best),
      r.gflops?.toFixed(1) ?? "–",
      r.rounds ?? "–",
    ]),
  );
  return table(["row", "who", "threads", "status", "median ms", "best ms", "GFLOP/s of best", "rounds"], lines);
}

const sections = {
  memorySpeed: (found) =>
    `Plain reads of 64 MB: ${found.map(({ threads, gbs }) => `${gbs.toFixed(1)} GB/s with ${threads} thread(s)`).join(", ")}.`,
  growth: ({ threads, rows }) =>
    `## Growth with length\n\n8 heads of 64, ${threads} thread(s), best of a few runs. Memory is beyond inputs, outputs and parameters.\n\n` +
    table(
      ["L", "attention ms", "ns / L²", "memory MB", "block ms", "memory MB", "allowed: 4 MB + 24 L E"],
      rows.map((r) => [
        r.L,
        ms(r.coreMs),
        ((1e6 * r.coreMs) / r.L ** 2).toFixed(2),
        megabytes(r.coreBytes),
        ms(r.blockMs),
        megabytes(r.blockBytes),
        megabytes(4e6 + 24 * r.L * 512),
      ]),
    ),
  heads: ({ threads, rows }) =>
    `## What heads cost\n\nE = 512, L = 512, ${threads} thread(s), milliseconds.\n\n` +
    table(
      ["H", "attention: median, best", "block: median, best", "block over one head's"],
      rows.map(({ H, core, block }) => [
        H,
        `${ms(core.median)}, ${ms(core.best)}`,
        `${ms(block.median)}, ${ms(block.best)}`,
        times(block.best / rows[0].block.best),
      ]),
    ),
  weights: ({ without, asked, written, ratio }) =>
    `## What asking for weights costs\n\nbert512's core in memory, 1 thread: ${ms(without.best)} ms without, ${ms(asked.best)} ms with (median of ratios ${times(ratio.median)}, best ${times(1 / (1 / ratio.best))}); writing as many floats alone takes ${ms(written.best)} ms, which leaves ${percent((asked.best - written.best) / without.best - 1)} more.`,
  learning({ block, model }) {
    const { B, L, E, H } = block;
    const blockLines = block.rows.map(({ threads, forward, step, ratio }) => [
      threads,
      `${ms(forward.median)}, ${ms(forward.best)}`,
      `${ms(step.median)}, ${ms(step.best)}`,
      `${times(ratio.median)} [${ratio.q1.toFixed(2)}–${ratio.q3.toFixed(2)}], best ${times(ratio.best)} (≤ 4×)`,
    ]);
    const modelLines = model.rows.map((record) => [
      record.name,
      record.threads,
      record.message ?? `${ms(record.median)}, ${ms(record.best)}`,
      record.tokensPerSecond?.toFixed(0) ?? "–",
      record.ratios?.map(({ median: middle, best }) => `${times(middle)}, best ${times(best)}`).join("; ") ?? "–",
    ]);
    const counts = model.rows.filter(({ name }) => name === "headwise").map(({ threads }) => threads);
    return [
      "## Learning",
      `A block of ${E} with ${H} heads on ${B} × ${L} tokens: forward alone; forward, backward and AdamW's update.`,
      table(["threads", "forward ms: median, best", "step ms", "step over forward (target)"], blockLines),
      `Training a transformer of ${model.layers} layers, ${model.embedDim} wide, ${model.numHeads} heads, on ` +
        `${model.batch} × ${model.contextLength} tokens a step; losses are compared before anything is timed.`,
      table(
        [
          "who",
          "threads",
          "ms a step: median, best",
          "tokens/s, best",
          `× our time with ${counts.join("; ")} thread(s) (target: ≥ 2×)`,
        ],
        modelLines,
      ),
    ].join("\n\n");
  },
  opening({ bytes, records }) {
    const lines = records.map((own) => [own.name, own.threads, ms(own.first), ms(own.median), ms(own.best)]);
    const head = ["who", "threads", "ms: the first time (≤ 500)", "median", "best"];
    return `## Opening a model\n\n\`openModel\` of a file of ${megabytes(bytes)} MB in memory.\n\n${table(head, lines)}`;
  },
  inside({ heads, length, rows }) {
    const lines = rows.map(({ threads, forward, attribution, ratio, headsPerSecond, before }) => [
      ...[threads, `${ms(forward.median)}, ${ms(forward.best)}`, headsPerSecond.toFixed(1)],
      `${ms(attribution.median)}, ${ms(attribution.best)}`,
      `${times(ratio.median)} [${ratio.q1.toFixed(2)}–${ratio.q3.toFixed(2)}], best ${times(ratio.best)} (≤ 5×)`,
      before ? `${times(before.median)}, best ${times(before.best)}` : "–",
    ]);
    const head = ["threads", "forward ms: median, best", "heads patched a second", "attribution map ms"];
    return (
      `## Looking inside\n\nGPT-2 small's shape, ${length} tokens, ${heads} heads. The map of attribution patching is of all heads and tokens at once.\n\n` +
      table([...head, "map over forward (target)", "forward before over now"], lines)
    );
  },
  longTasks(found) {
    const work = { many: "One head or many: four head counts trained", pruning: "Pruning: heads scored and measured" };
    const lines = found.map(({ section, seconds, tasks }) => [
      ...[work[section], seconds.toFixed(1), tasks.length],
      ...[Math.max(0, ...tasks), tasks.reduce((sum, task) => sum + task, 0)].map((time) => time.toFixed(0)),
    ]);
    const head = ["work", "seconds to the result", "long tasks (over 50 ms)", "longest, ms", "together, ms"];
    return `## The page while it learns\n\nIts own thread, in Chromium, from the click to the result.\n\n${table(head, lines)}`;
  },
  firstResults(all) {
    const found = all.filter((one) => one !== null);
    const show = (key) => {
      const values = found.map((one) => one[key]);
      return values.length === 0 ? "no answer" : `${ms(median(values))} ms (best ${ms(Math.min(...values))})`;
    };
    const idle = found.find(({ withPool }) => withPool !== undefined);
    return [
      "## From load() to the first result\n\n",
      `The tiny row: ${show("cold")} cold, ${show("warm")} with the compiled module at hand; medians of ${found.length}.`,
      found.length < all.length ? ` ${all.length - found.length} of ${all.length} starts never answered.` : "",
      idle
        ? ` In an idle second the process takes ${idle.withPool.toFixed(1)} ms of CPU time with its pool, ` +
          `${idle.withoutPool.toFixed(1)} ms without.`
        : "",
    ].join("");
  },
};

function markdown(results) {
  const { machine, simd, limits } = results;
  const limitLines = Object.entries(limits).map(
    ([name, value]) => `- ${name}: ${value.toFixed(1)} ${name.startsWith("read") ? "GB/s" : "GFLOP/s"}`,
  );
  return [
    "# Headwise beside its peers",
    `${machine.date.slice(0, 16).replace("T", " ")} UTC, ${machine.processor}, ${machine.cores} cores, ${machine.engine}, ${simd} build; ${machine.versions.join(", ")}. ${Math.round(results.seconds)} seconds, with what had to be built.`,
    "Ratios say how many times as long a peer takes: median of the rounds' ratios [quartiles], and best against best. Times are from typed arrays to typed arrays; “in the core” is the time on data in memory. * slower than 2 s, timed once. † its attention alone took so many times as long as our whole block.",
    ...kinds.flatMap((kind) => [
      `## ${kind === "core" ? "Attention" : "The whole block"}`,
      rowsTable(results.rows, kind),
    ]),
    ...(results.models.length > 0 ? ["## Whole models", asPeopleRun(results.models), modelsTable(results.models)] : []),
    "## Limits, the best of this run",
    limitLines.join("\n"),
    "## Who did not finish",
    failures([...results.rows, ...results.models]),
    ...Object.entries(sections).flatMap(([name, show]) => (results[name] === undefined ? [] : [show(results[name])])),
    `<details><summary>All times</summary>\n\n${allTimes(results.rows)}\n\n</details>`,
  ].join("\n\n");
}

/** Writes the table of whole models into docs/speed.md. */
export async function writeModels({ machine, simd, models }, file) {
  const [begin, end] = ["<!-- models -->\n", "<!-- /models -->"];
  const said = `Last run: ${machine.date.slice(0, 10)}, ${machine.processor}, ${machine.engine}, ${simd} SIMD, ${machine.versions.slice(0, 2).join(", ")}.`;
  const [before, rest] = (await readFile(file, "utf8")).split(begin);
  await writeFile(file, `${before}${begin}${said}\n\n${asPeopleRun(models)}\n${end}${rest.split(end)[1]}`);
}

/** Writes the three files. @returns the Markdown */
export async function writeReport(results, folder) {
  await mkdir(folder, { recursive: true });
  const text = markdown(results);
  await writeFile(join(folder, "results.json"), `${JSON.stringify(results, undefined, 1)}\n`);
  await writeFile(join(folder, "results.md"), `${text}\n`);
  await writeFile(join(folder, "chart.svg"), chart(results));
  return text;
}
