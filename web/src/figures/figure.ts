/** A figure as files: its numbers as CSV and JSON, its picture as SVG and PNG. No components. */
import { cssColor, type Ramp } from "../colors";

export interface Figure {
  /** Begins the files' names: "head-2.2". */
  readonly name: string;
  readonly title: string;
  /** [rows, columns]; −∞ and NaN are empty cells. */
  readonly matrix: { readonly data: Float32Array; readonly shape: readonly number[] };
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly ramp: Ramp;
  readonly domain: readonly [number, number];
  /** The cells after column i of row i are masked. */
  readonly causal?: boolean;
}

const cellsOf = ({ matrix: { data, shape } }: Figure): number[][] =>
  Array.from({ length: shape[0] }, (_, i) => Array.from(data.subarray(i * shape[1], (i + 1) * shape[1])));

/** As RFC 4180 says. A text that a spreadsheet would take for a formula begins with an apostrophe. */
export function toCsv(figure: Figure): string {
  const quoted = (text: string) => {
    const safe = /^[=+\-@\t]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = cellsOf(figure).map((cells, i) => [quoted(figure.rows[i]), ...cells.map(numberText)].join(","));
  return [["", ...figure.columns.map(quoted)].join(","), ...lines].join("\r\n") + "\r\n";
}

export function toJson({ title, rows, columns, ...figure }: Figure, address: string): string {
  const cells = cellsOf({ title, rows, columns, ...figure });
  return JSON.stringify({ title, address, rows, columns, cells }, null, 1);
}

/** Enough digits to read the same float32 again. */
const numberText = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(9))) : "");

const CELL = 24;
const ROOM = 110;
const TOP = 34;
const FONT = 12;

export function toSvg(figure: Figure, paper: string, ink: string): string {
  const [rows, columns] = figure.matrix.shape as [number, number];
  // Small cells for large maps; outputs have hundreds of features and few rows.
  const width = Math.max(2, Math.min(CELL, 1200 / columns));
  const height = Math.max(2, Math.min(CELL, 900 / rows));
  const [low, high] = figure.domain;
  const parts: string[] = [];
  cellsOf(figure).forEach((cells, i) =>
    cells.forEach((value, j) => {
      if (!Number.isFinite(value) || (figure.causal && j > i)) return;
      const box = `x="${round(ROOM + j * width)}" y="${round(TOP + ROOM + i * height)}"`;
      const fill = cssColor(figure.ramp, (value - low) / (high - low));
      parts.push(`<rect ${box} width="${round(width)}" height="${round(height)}" fill="${fill}"/>`);
    }),
  );
  const label = (text: string, x: number, y: number, more: string) =>
    `<text x="${round(x)}" y="${round(y)}" ${more}>${escaped(text)}</text>`;
  if (height >= FONT)
    figure.rows.forEach((text, i) =>
      parts.push(label(text, ROOM - 6, TOP + ROOM + (i + 0.5) * height + 4, 'text-anchor="end"')),
    );
  if (width >= FONT)
    figure.columns.forEach((text, j) => {
      const [x, y] = [ROOM + (j + 0.5) * width + 4, TOP + ROOM - 6];
      parts.push(label(text, x, y, `transform="rotate(-90 ${round(x)} ${y})"`));
    });
  const [w, h] = [ROOM + columns * width + 16, TOP + ROOM + rows * height + 16];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(w)}" height="${round(h)}" viewBox="0 0 ${round(w)} ${round(h)}"` +
    ` font-family="system-ui, sans-serif" font-size="${FONT}" fill="${ink}"><title>${escaped(figure.title)}</title>` +
    `<rect width="100%" height="100%" fill="${paper}"/>${label(figure.title, 10, 20, 'font-weight="600"')}${parts.join("")}</svg>`
  );
}

const round = (value: number): string => String(Math.round(value * 100) / 100);
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** The SVG as pixels, twice as many as its size. */
export async function toPng(svg: string): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * image.naturalWidth;
  canvas.height = 2 * image.naturalHeight;
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser makes no PNG"))), "image/png"),
  );
}
