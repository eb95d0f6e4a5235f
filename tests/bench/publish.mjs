// What `--publish` writes: one small JSON of a run, which the site's page of machines reads (docs/compare.md).
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../../tools/steps.mjs";

/** One row: our F32 time, and of each peer how many times as long it takes as we do, its integers as our int8. Below 1 the peer wins. */
function publishedRow({ row, kind, shape, records }) {
  const ours = records.find(
    ({ name, threads, dtype }) => name === "headwise" && threads === 1 && (dtype ?? "F32") === "F32",
  );
  const beside = ({ dtype, ratio, overInt8 }) => (/^int/.test(dtype) ? overInt8 : ratio);
  const peers = records.filter(
    (record) => beside(record) && record.threads === 1 && !["headwise", "core", "before"].includes(record.name),
  );
  const label = ({ name, dtype, graph }) => [name, dtype, graph].filter(Boolean).join(", ");
  return {
    row: `${row}, ${kind ?? "model"}`,
    shape,
    milliseconds: ours && Number(ours.best.toPrecision(3)),
    ratios: Object.fromEntries(peers.map((peer) => [label(peer), Number(beside(peer).median.toPrecision(3))])),
  };
}

/** The run, as it is published: who measured what on which machine with one thread. */
export function published({ machine, rows, models }) {
  const { date, processor, cores, engine, versions } = machine;
  const all = [...rows, ...models].map(publishedRow).filter(({ milliseconds }) => milliseconds > 0);
  return { date: date.slice(0, 10), processor, cores, engine, versions, rows: all };
}

/** Writes a run into `folder`, docs/machines by default; returns the file's path in the repository. */
export async function publish(results, folder = join(root, "docs/machines")) {
  const found = published(results);
  const slug = `${found.date}-${found.processor}-${found.engine}`.replace(/[^\w.]+/g, "-").toLowerCase();
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${slug}.json`);
  await writeFile(file, `${JSON.stringify(found, null, 2)}\n`);
  return file;
}
