/** Draws a matrix on a canvas: one ImageData pixel per cell, scaled up; masked cells are hatched, which zeros are not. */
import type { Tensor } from "headwise";
import type { Ramp } from "./colors";

export interface Picture {
  /** [rows, columns] */
  readonly matrix: Tensor;
  /** One for all cells, or each cell's own. */
  readonly ramp: Ramp | ((row: number, column: number) => Ramp);
  /** The values at the two ends of the ramp. */
  readonly domain: readonly [number, number];
  /** Causal masking: in row i the cells after column i are masked. */
  readonly causal?: boolean;
  readonly paper: string;
  readonly hatch: string;
}

/** Below this many device pixels a cell goes without a gap to its neighbours. */
const GAP_FROM = 12;
const HATCH_PITCH = 5;

/** `width` and `height` in device pixels; `ratio` device pixels per CSS pixel. */
export function paint(canvas: HTMLCanvasElement, picture: Picture, width: number, height: number, ratio: number): void {
  // Setting a size makes a new bitmap, the same size too.
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  const [rows, columns] = picture.matrix.shape as [number, number];
  if (!context || rows === 0 || columns === 0) return;

  let image = cells(picture, rows, columns);
  // More cells than pixels: let the browser average them along that side instead of dropping some.
  if (columns > width) image = averaged(image, width, rows);
  if (rows > height) image = averaged(image, image.width, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, height);

  if (picture.causal) hatchMasked(context, picture, rows, width, height, ratio);
  context.fillStyle = picture.paper;
  const gap = Math.max(1, Math.round(ratio));
  if (width / columns >= GAP_FROM * ratio)
    for (let j = 1; j < columns; ++j) context.fillRect(Math.round((j * width) / columns) - gap, 0, gap, height);
  if (height / rows >= GAP_FROM * ratio)
    for (let i = 1; i < rows; ++i) context.fillRect(0, Math.round((i * height) / rows) - gap, width, gap);
}

function averaged(image: HTMLCanvasElement, width: number, height: number): HTMLCanvasElement {
  const result = document.createElement("canvas");
  result.width = width;
  result.height = height;
  const context = result.getContext("2d")!;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return result;
}

function cells({ matrix, ramp, domain: [low, high] }: Picture, rows: number, columns: number): HTMLCanvasElement {
  const image = new ImageData(columns, rows);
  const scale = high > low ? 255 / (high - low) : 0;
  for (let cell = 0; cell < rows * columns; ++cell) {
    const step = Math.min(255, Math.max(0, Math.round((matrix.data[cell] - low) * scale)));
    const colors = typeof ramp === "function" ? ramp(Math.floor(cell / columns), cell % columns) : ramp;
    for (let c = 0; c < 4; ++c) image.data[4 * cell + c] = colors[4 * step + c];
  }
  // One for all maps: each is drawn before the next one comes. New canvases are most of what a small map costs.
  small ??= document.createElement("canvas");
  if (small.width !== columns) small.width = columns;
  if (small.height !== rows) small.height = rows;
  small.getContext("2d")!.putImageData(image, 0, 0);
  return small;
}

let small: HTMLCanvasElement | undefined;

function hatchMasked(
  context: CanvasRenderingContext2D,
  picture: Picture,
  rows: number,
  width: number,
  height: number,
  ratio: number,
): void {
  context.save();
  context.beginPath();
  for (let i = 0; i < rows; ++i) {
    const left = Math.round(((i + 1) * width) / rows);
    const top = Math.round((i * height) / rows);
    context.rect(left, top, width - left, Math.round(((i + 1) * height) / rows) - top);
  }
  context.clip();
  context.fillStyle = picture.paper;
  context.fillRect(0, 0, width, height);
  context.strokeStyle = picture.hatch;
  context.lineWidth = ratio;
  context.beginPath();
  for (let x = -height; x < width; x += HATCH_PITCH * ratio) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  context.restore();
}
