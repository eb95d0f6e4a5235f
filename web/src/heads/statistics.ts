/** Plain arithmetic on the library's results: the only numbers on the page that the library does not give directly. */
import type { Tensor } from "headwise";

/** [H, rows, columns] → H views [rows, columns] of the same data. */
export function splitHeads({ data, shape }: Tensor): Tensor[] {
  const [heads, rows, columns] = shape as [number, number, number];
  const size = rows * columns;
  return Array.from({ length: heads }, (_, h) => ({
    data: data.subarray(h * size, (h + 1) * size),
    shape: [rows, columns],
  }));
}

/** Frobenius norm: the root of the sum of all squares. */
export function norm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

/** Each head's norm over the sum of all heads' norms: 0 … 1, together 1; NaN where every contribution is zero. */
export function shares(contributions: readonly Tensor[]): number[] {
  const norms = contributions.map((contribution) => norm(contribution.data));
  const total = norms.reduce((sum, value) => sum + value, 0);
  return norms.map((value) => value / total);
}

/** Per row of two outputs [T, O]: 1 − cosine, 0 (same direction) … 2 (opposite); NaN where a row has no direction. */
export function outputChange(before: Tensor, after: Tensor): Float32Array {
  const [rows, columns] = before.shape as [number, number];
  return Float32Array.from({ length: rows }, (_, t) => {
    let dot = 0;
    let squareBefore = 0;
    let squareAfter = 0;
    for (let c = t * columns; c < (t + 1) * columns; ++c) {
      const a = before.data[c];
      const b = after.data[c];
      dot += a * b;
      squareBefore += a * a;
      squareAfter += b * b;
    }
    // Rounding may leave a cosine just above 1; a change is never negative.
    return Math.max(0, 1 - dot / Math.sqrt(squareBefore * squareAfter));
  });
}

/**
 * The magnitude that all but one in a hundred of the values stay below: where a diverging colour scale ends. The largest
 * of all would do, but a few features are ten times as strong as the rest and would leave it pale. Read off a histogram:
 * exact to a thousandth of the largest, and no sort of 260,000 numbers.
 */
export function usualMagnitude(tensors: readonly Tensor[]): number {
  const BINS = 1000;
  let largest = 0;
  let count = 0;
  for (const { data } of tensors) {
    count += data.length;
    for (const value of data) largest = Math.max(largest, Math.abs(value));
  }
  if (largest === 0) return 1; // a scale needs some length
  const histogram = new Uint32Array(BINS + 1);
  for (const { data } of tensors) for (const value of data) histogram[Math.floor((Math.abs(value) / largest) * BINS)]++;
  let above = 0;
  for (let bin = BINS; bin > 0; --bin) {
    above += histogram[bin];
    if (above > count / 100) return ((bin + 1) / BINS) * largest;
  }
  return largest;
}
