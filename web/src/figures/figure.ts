/** A figure as numbers: CSV and JSON. No components. */
import type { Tensor } from "headwise";
import type { Picture } from "./picture";

export interface Figure {
  /** Begins the files' names: "head-2.2". */
  readonly name: string;
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** Row by row. Numbers that are not finite are empty cells. */
  readonly cells: readonly (readonly (number | string)[])[];
  readonly picture: Picture;
}

/** The cells of a matrix [rows, columns]. */
export const cellsOf = ({ data, shape }: Tensor): number[][] =>
  Array.from({ length: shape[0] }, (_, i) => Array.from(data.subarray(i * shape[1], (i + 1) * shape[1])));

/** As RFC 4180 says. A text that a spreadsheet would take for a formula begins with an apostrophe. */
export function toCsv({ rows, columns, cells }: Figure): string {
  const quoted = (text: string) => {
    const safe = /^[=+\-@\t]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const cellText = (cell: number | string) => (typeof cell === "string" ? quoted(cell) : numberText(cell));
  const lines = cells.map((row, i) => [quoted(rows[i]), ...row.map(cellText)].join(","));
  return [["", ...columns.map(quoted)].join(","), ...lines].join("\r\n") + "\r\n";
}

export function toJson({ title, rows, columns, cells }: Figure, address: string): string {
  return JSON.stringify({ title, address, rows, columns, cells }, null, 1);
}

/** Enough digits to read the same float32 again. */
const numberText = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(9))) : "");
