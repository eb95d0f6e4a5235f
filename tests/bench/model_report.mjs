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

/** A peer's integers with one thread, the faster form. */
const fastestIntegers = (records) =>
  records
    .filter(
      ({ name, dtype, threads, overInt8 }) => name === "onnxruntime" && /^int/.test(dtype) && threads === 1 && overInt8,
    )
    .sort((a, b) => a.best - b.best)[0];

/** Models as people run them: our formats beside each other, and the peer's integers beside our int8. One thread, but for the last column. */
export function asPeopleRun(results) {
  const both = (found) => (found ? `${times(found.median)}, best ${times(found.best)}` : "–");
  const lines = results.map(({ shape, row, L, records }) => {
    const ours = (dtype, threads = 1) =>
      records.find((own) => own.name === "headwise" && own.dtype === dtype && own.threads === threads);
    const int8 = ours("int8");
    const [integers, floats] = [fastestIntegers(records), fastest(records, 1)];
    return [
      `${row}: ${shape}`,
      ...["F32", "BF16", "int8"].map((dtype) => ms(ours(dtype)?.best)),
      int8?.best ? ((1000 * L) / int8.best).toFixed(0) : "–",
      both(ours("F32")?.overInt8),
      integers ? `${both(integers.overInt8)} (${integers.graph})` : "–",
      both(floats?.ratio),
      both(ours("int8", 2)?.overOneThread),
    ];
  });
  const head = ["whole model", "F32: ms", "BF16: ms", "int8: ms", "int8: tokens/s", "F32 beside int8"];
  head.push("onnxruntime-web: int8 beside ours", "its F32 beside ours", "int8: two threads");
  return table(head, lines);
}

/** One line a graph, number format and number of threads. */
export function modelsTable(results) {
  const head = ["row", "threads", "who", "dtype", "ms: median, best", "tokens/s", "× our F32 time (target)", "error"];
  return table(
    head,
    results.flatMap((result) => result.records.map((record) => lineOf(result, record))),
  );
}
