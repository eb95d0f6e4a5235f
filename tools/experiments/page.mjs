// Writes docs/experiments/README.md and its figures from the data.
import { join } from "node:path";

import { writeWhole } from "./files.mjs";
import { figures } from "./figures.mjs";
import { list } from "./markdown.mjs";
import { reportPruning } from "./report_pruning.mjs";
import { reportRanking } from "./report_ranking.mjs";
import { reportText } from "./report_text.mjs";
import { reportTwoRelations } from "./report_two_relations.mjs";

const sections = {
  "two-relations": reportTwoRelations,
  text: reportText,
  pruning: reportPruning,
  ranking: reportRanking,
};

function introduction(data) {
  const all = Object.values(data).filter(Boolean);
  if (all.length === 0) return "There are no data yet.";
  const distinct = (show) => [...new Set(all.map(({ machine }) => show(machine)))];
  const runs = distinct(
    ({ date, processor, cores, engine, headwise, simd, threads }) =>
      `${date} on ${cores} cores of ${/^[AEIOU]/.test(processor) ? "an" : "a"} ${processor}, ${engine}, headwise ${headwise} (${simd} SIMD), ${threads} thread${threads > 1 ? "s" : ""}`,
  );
  const minutes = all.reduce((sum, { times }) => sum + times.minutes, 0);
  const quick = all.some(({ machine }) => machine.quick) ? "\n**A quick run: its outcomes mean nothing.**\n" : "";
  return `Everything here (data, figures, this text, the model for the page) is written by \`npm run experiments\`; this is the run of ${list(runs)}:
${minutes.toFixed(0)} minutes. The data repeat bit for bit on any number of threads; times do not: they are the shortest of rounds in turns, on a shared machine.
${quick}`;
}

/** @param data by experiment; missing experiments are left out */
export async function writePage(folder, data) {
  for (const [name, svg] of Object.entries(figures(data))) await writeWhole(join(folder, name), svg);
  const parts = Object.entries(sections)
    .filter(([name]) => data[name])
    .map(([name, report]) => report(data[name]));
  const text = ["# One head against many, measured", introduction(data), ...parts].join("\n\n");
  await writeWhole(join(folder, "README.md"), `${text.replace(/\n{3,}/g, "\n\n").trim()}\n`);
}
