/** Learned positions of patches for images of another size than the model's own: interpolated, as ViT's authors do. */
import { allocate } from "../base/tensor.js";
import type { Handle } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { transformerParameters } from "./native_config.js";
import type { ResolvedTransformerConfig } from "./types.js";

type Grid = readonly [number, number];

/** Keys' cubic convolution with a = -0.75, as PyTorch's `interpolate` has it. */
function cubic(distance: number): number {
  const [a, x] = [-0.75, Math.abs(distance)];
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Of each place among `to`, four places among `from` and their weights; centres of pixels lie half a pixel in (align_corners false). */
function taps(from: number, to: number): { at: number; weight: number }[][] {
  return Array.from({ length: to }, (_, i) => {
    const center = ((i + 0.5) * from) / to - 0.5;
    const first = Math.floor(center) - 1;
    return Array.from({ length: 4 }, (_, n) => ({
      at: Math.min(Math.max(first + n, 0), from - 1),
      weight: cubic(center - first - n),
    }));
  });
}

/** Rows [from, E] of a grid, as rows of another one. */
function interpolate(rows: Float32Array, width: number, from: Grid, to: Grid): Float32Array {
  const [down, across] = [taps(from[0], to[0]), taps(from[1], to[1])];
  const result = new Float32Array(allocate(4 * to[0] * to[1] * width));
  for (const [y, above] of down.entries())
    for (const [x, beside] of across.entries())
      for (let e = 0; e < width; ++e) {
        let sum = 0;
        for (const row of above)
          for (const column of beside)
            sum += row.weight * column.weight * rows[(row.at * from[1] + column.at) * width + e]!;
        result[(y * to[1] + x) * width + e] = sum;
      }
  return result;
}

/** What is added to the patches of a grid, [P, E]. */
export function positionsFor(handle: Handle<NativeModel>, config: ResolvedTransformerConfig, grid: Grid): Float32Array {
  const { index, shape } = transformerParameters(config).find(({ name }) => name === "positions.weight")!;
  const { table } = handle.call({}, { table: shape }, (native, staged) => {
    native.getParameter(index, staged.pointers.table);
    return staged.results("table");
  });
  const patches = config.patches!;
  const own = table.data.subarray(patches.classToken ? config.embedDim : 0);
  return interpolate(own, config.embedDim, patches.grid as Grid, grid);
}
