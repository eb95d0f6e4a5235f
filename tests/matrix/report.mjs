// The table of docs/guide/bundlers.md, between its markers.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../../tools/steps.mjs";

const [begin, end] = ["<!-- matrix -->\n", "<!-- /matrix -->"];

/** What the checks of an environment resulted in; those that differ from the first by name. */
function cell(results, way) {
  const names = new Map(); // of checks, by result
  for (const [name, result] of Object.entries(results)) {
    const text = result.error ? "✗" : result[way];
    names.set(text, [...(names.get(text) ?? []), name]);
  }
  return [...names].map(([text, checks], n) => (n === 0 ? text : `${checks.join(" and ")}: ${text}`)).join("; ");
}

function row({ environment: { name, version, packages = {}, write, checks }, results }) {
  const how = Object.keys(checks).length > 1 && !version ? `: ${Object.keys(checks).join(", ")}` : "";
  const cells = [
    `${name}${how}`,
    version ?? Object.values(packages)[0] ?? "–",
    cell(results, "isolated"),
    cell(results, "plain"),
    write || "nothing",
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Writes what all checks resulted in into that file. `versions`: what they ran with, in words. */
export async function writeTable(rows, versions) {
  const file = join(root, "docs/guide/bundlers.md");
  const text = await readFile(file, "utf8");
  const [before, rest] = text.split(begin);
  const [, after] = rest.split(end);
  const table = [
    `Last run: ${new Date().toISOString().slice(0, 10)}, ${versions}.`,
    "",
    "| environment: how | version | isolated | not isolated | what to write |",
    "|---|---|---|---|---|",
    ...rows.map(row),
  ];
  await writeFile(file, `${before}${begin}${table.join("\n")}\n${end}${after}`);
}
