/** A figure as a picture: SVG and PNG. No components. */
import { cssColor } from "../colors";
import type { Picture as Painting } from "../paint";
import type { Figure } from "./figure";

/** SVG elements that lie between (0, 0) and (width, height). */
interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly marks: string;
}

/** Draws a figure's cells. */
export type Picture = (figure: Figure) => Drawing;

const CELL = 24;
const FONT = 12;
const TITLE = 34;
const EDGE = 16;

/** A coloured cell for each number; cells without one, and masked ones, stay empty. */
export function mapOf({ ramp, domain: [low, high], causal }: Pick<Painting, "ramp" | "domain" | "causal">): Picture {
  return (figure) => {
    // Small cells for large maps; outputs have hundreds of features and few rows.
    const width = Math.max(2, Math.min(CELL, 1200 / figure.columns.length));
    const height = Math.max(2, Math.min(CELL, 900 / figure.rows.length));
    const mark = (value: number | string, i: number, j: number) => {
      if (typeof value === "string" || !Number.isFinite(value) || (causal && j > i)) return "";
      const colors = typeof ramp === "function" ? ramp(i, j) : ramp;
      return rectangle(j * width, i * height, width, height, cssColor(colors, (value - low) / (high - low)));
    };
    return labelled(figure, width, height, mark);
  };
}

/** Bars up and down from a line in each row; `limits`: the numbers of full bars, by row. */
export function barsOf(limits: readonly number[]): Picture {
  const height = 60;
  return (figure) => {
    const signed = figure.cells.flat().some((value) => Number(value) < 0);
    const [width, zero] = [Math.max(2, Math.min(CELL, 1200 / figure.columns.length)), signed ? height / 2 : height - 4];
    const mark = (value: number | string, i: number, j: number) => {
      const line = rectangle(j * width, i * height + zero, width, 1, "currentColor");
      if (!Number.isFinite(value)) return line;
      const length = Math.min(1, Math.abs(Number(value)) / limits[i]) * (signed ? height / 2 - 4 : height - 8);
      const top = i * height + zero - (Number(value) > 0 ? length : 0);
      return line + rectangle((j + 0.1) * width, top, 0.8 * width, length, "currentColor");
    };
    return labelled(figure, width, height, mark);
  };
}

/** The numbers themselves, rounded. */
export const tableOf: Picture = ({ rows, columns, cells }) => {
  const shown = (value: number | string) => {
    if (typeof value === "string") return value;
    if (!Number.isFinite(value)) return value < 0 ? "−∞" : "–";
    return String(Math.abs(value) < 1000 ? Number(value.toPrecision(4)) : Math.round(value)).replace("-", "−");
  };
  const lines = [["", ...columns], ...cells.map((row, i) => [rows[i], ...row.map(shown)])];
  const widths = lines[0].map((_, j) => longest(lines.map((line) => line[j])) + 20);
  const ends = widths.map((_, j) => widths.slice(0, j + 1).reduce((sum, width) => sum + width, 0));
  const marks = lines.flatMap((line, i) =>
    line.map((text, j) => label(text, ends[j], i * 20 + 14, `text-anchor="end"${i && j ? "" : ' font-weight="600"'}`)),
  );
  return { width: ends.at(-1)!, height: 20 * lines.length, marks: marks.join("") };
};

/** What is on screen, with the colours and fonts that its style sheets give it. */
export const drawnAs =
  (svg: SVGSVGElement): Picture =>
  () => {
    const copy = svg.cloneNode(true) as SVGSVGElement;
    const copies = [copy, ...copy.querySelectorAll("*")];
    [svg, ...svg.querySelectorAll("*")].forEach((element, i) => {
      const style = getComputedStyle(element);
      for (const { name } of [...copies[i].attributes])
        if (/^(class|style|role|tabindex|data-|aria-)/.test(name)) copies[i].removeAttribute(name);
      for (const name of STYLES) copies[i].setAttribute(name, style.getPropertyValue(name));
    });
    const { width, height } = svg.getBoundingClientRect();
    copy.setAttribute("width", String(width));
    copy.setAttribute("height", String(height));
    return { width, height, marks: new XMLSerializer().serializeToString(copy) };
  };

const STYLES = [
  ...["fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray"],
  ...["font-size", "font-weight", "text-anchor", "dominant-baseline"],
];

/** Canvases in rows, each with its name above. */
export const canvasesOf =
  (
    rows: readonly (readonly { readonly name: string; readonly canvas: HTMLCanvasElement }[])[],
    size: number,
  ): Picture =>
  () => {
    const [across, down] = [size + 10, size + 26];
    const marks = rows.flatMap((row, i) =>
      row.map(({ name, canvas }, j) => {
        const place = `x="${j * across}" y="${i * down + 18}" width="${size}" height="${size}"`;
        return `${label(name, j * across, i * down + 13, "")}<image ${place} href="${canvas.toDataURL()}"/>`;
      }),
    );
    const columns = Math.max(...rows.map(({ length }) => length));
    return { width: columns * across, height: rows.length * down, marks: marks.join("") };
  };

/** Cells with their rows' and columns' labels, where there is room for them. */
function labelled(
  { rows, columns, cells }: Figure,
  width: number,
  height: number,
  mark: (value: number | string, row: number, column: number) => string,
): Drawing {
  const left = height >= FONT ? longest(rows) + 6 : 0;
  const top = width >= FONT ? longest(columns) + 6 : 0;
  const marks = cells.map((row, i) => row.map((value, j) => mark(value, i, j)).join("")).join("");
  const rowLabels = rows.map((text, i) => label(text, left - 6, top + (i + 0.5) * height + 4, 'text-anchor="end"'));
  const columnLabels = columns.map((text, j) => {
    const [x, y] = [left + (j + 0.5) * width + 4, top - 6];
    return label(text, x, y, `transform="rotate(-90 ${round(x)} ${round(y)})"`);
  });
  return {
    width: left + columns.length * width,
    height: top + rows.length * height,
    marks:
      `<g transform="translate(${round(left)} ${round(top)})">${marks}</g>` +
      (left > 0 ? rowLabels.join("") : "") +
      (top > 0 ? columnLabels.join("") : ""),
  };
}

export function toSvg(figure: Figure, paper: string, ink: string): string {
  const { width, height, marks } = figure.picture(figure);
  const w = round(Math.max(width, longest([figure.title])) + 2 * EDGE);
  const h = round(TITLE + height + EDGE);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}"` +
    ` font-family="system-ui, sans-serif" font-size="${FONT}" fill="${ink}" color="${ink}">` +
    `<title>${escaped(figure.title)}</title><rect width="100%" height="100%" fill="${paper}"/>` +
    `${label(figure.title, EDGE, 20, 'font-weight="600"')}<g transform="translate(${EDGE} ${TITLE})">${marks}</g></svg>`
  );
}

/** Wide enough for each of these texts. */
const longest = (texts: readonly string[]): number => 7 * Math.max(0, ...texts.map(({ length }) => length));
const rectangle = (x: number, y: number, width: number, height: number, fill: string) =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${fill}"/>`;
const label = (text: string, x: number, y: number, more: string) =>
  `<text x="${round(x)}" y="${round(y)}" ${more}>${escaped(text)}</text>`;
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
