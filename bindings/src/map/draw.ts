/** How the element looks: a matrix in colours on a canvas, and the element's style. */

/** Colours of weights 0 … 1: one hue, whose lightness moves one way. */
const stops = {
  light: [0xf0f5fa, 0xa9cbe8, 0x4d94cb, 0x135f9e, 0x063763],
  dark: [0x17202a, 0x1f4c73, 0x2f7fbe, 0x79b8ea, 0xd9edff],
};

function colorOf(weight: number, paper: "light" | "dark"): number[] {
  const colors = stops[paper];
  const at = Math.min(1, Math.max(0, weight || 0)) * (colors.length - 1);
  const low = Math.min(Math.floor(at), colors.length - 2);
  return [16, 8, 0].map((shift) => {
    const [from, to] = [colors[low]!, colors[low + 1]!].map((color) => (color >> shift) & 255) as [number, number];
    return from + (to - from) * (at - low);
  });
}

/** Draws a matrix [rows, columns] on a canvas, a pixel for each cell; CSS scales it. */
export function draw(
  canvas: HTMLCanvasElement,
  cells: ArrayLike<number>,
  rows: number,
  columns: number,
  dark: boolean,
) {
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  for (let cell = 0; cell < rows * columns; ++cell)
    image.data.set([...colorOf(cells[cell]!, dark ? "dark" : "light"), 255], 4 * cell);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

export const style = `
  :host { display: block; max-width: 28rem; font: 0.875rem/1.4 system-ui, sans-serif; }
  .map { position: relative; aspect-ratio: 1; }
  canvas { width: 100%; height: 100%; image-rendering: pixelated; cursor: crosshair; }
  canvas:focus-visible { outline: 2px solid; outline-offset: 2px; }
  span { position: absolute; box-sizing: border-box; outline: 2px solid; pointer-events: none; }
  p { min-height: 1.4em; margin: 0.4em 0 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
`;
