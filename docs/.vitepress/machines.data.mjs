// All published runs (docs/machines), the newest first; in each the rows where a peer wins come first.
import { readFileSync } from "node:fs";
import { basename } from "node:path";

const worst = ({ ratios }) => Math.min(...Object.values(ratios));

export default {
  watch: ["../machines/*.json"],
  load: (files) =>
    files
      .map((file) => ({ ...JSON.parse(readFileSync(file, "utf8")), name: basename(file, ".json") }))
      .map((run) => ({ ...run, rows: run.rows.toSorted((a, b) => worst(a) - worst(b)) }))
      .sort((a, b) => (a.date < b.date ? 1 : -1)),
};
