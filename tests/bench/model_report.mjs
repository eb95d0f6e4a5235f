// The whole models' results as text.
import { ms, table, times } from "./format.mjs";

const named = ({ name, graph, dtype }) => [name, dtype, graph && `(${graph})`].filter(Boolean).join(" ");

/** The peer's fastest F32 of a number of threads: what the target is about. */
function fastest(records, threads) {
  const peers = records.filter((own) => own.name === "onnxruntime" && own.dtype === "F32" && own.threads === threads);
  return peers.filter(({ ratio }) => ratio).sort((a, b) => a.ratio.median - b.ratio.median)[0];
}

/** A line for stderr. */
export function modelLine(row, records) {
  const parts = records
    .filter(({ name }) => name === "headwise")
    .map((ours) => {
      const peer = fastest(records, ours.threads);
      const found = peer && `, ${named(peer)} ${times(peer.ratio.median)}`;
      return `${ours.threads} thread${ours.threads > 1 ? "s" : ""}: ${ms(ours.best)} ms${found ?? ""}`;
    });
  const out = records.filter(({ status }) => status === "failed" || status === "wrong").map(named);
  return [`${row}:`, parts.join(", "), ...(out.length > 0 ? [`(out: ${out.join(", ")})`] : [])].join(" ");
}

function lineOf({ row, shape, L, ort, records }, record) {
  const { threads, dtype, error, status, message, ratio, best, median } = record;
  const target = ort !== undefined && threads === 1 && record === fastest(records, 1) ? ` (≥ ${times(ort)})` : "";
  const head = [`${row}: ${shape}`, threads, [record.name, record.graph].filter(Boolean).join(", "), dtype];
  if (best === undefined) return [...head, [status, message].filter(Boolean).join(" "), "–", "–", "–"];
  return [
    ...head,
    `${ms(median)}, ${ms(best)}`,
    ((1000 * L) / best).toFixed(best < 10 * L ? 0 : 1),
    ratio
      ? `**${times(ratio.median)}** [${ratio.q1.toFixed(2)}–${ratio.q3.toFixed(2)}], best ${times(ratio.best)}${target}`
      : "–",
    error === 0 ? "0" : error.toExponential(0),
  ];
}

/** One line a graph, number format and number of threads. */
export function modelsTable(results) {
  const head = ["row", "threads", "who", "dtype", "ms: median, best", "tokens/s", "× our F32 time (target)", "error"];
  return table(
    head,
    results.flatMap((result) => result.records.map((record) => lineOf(result, record))),
  );
}
