/** Plain arithmetic on the library's results. */
import type { Tensor } from "headwise";
import type { Look } from "./subject";

/** Head `head` of [H, rows, columns]: a view [rows, columns]. */
export function headMatrix({ data, shape }: Tensor, head: number): Tensor {
  const [, rows, columns] = shape as [number, number, number];
  return { data: data.subarray(head * rows * columns, (head + 1) * rows * columns), shape: [rows, columns] };
}

/**
 * What each head has of its layer's attention output, over all tokens: ⟨contribution, output⟩ / ‖output‖². With the output bias's part they
 * add up to 1; a head that works against the others has a negative part.
 */
export function partsOf({ contributions, attention }: Look): { heads: number[]; bias: number } {
  const square = dot(attention.data, attention.data);
  const heads = Array.from(
    { length: contributions.shape[0] },
    (_, head) => dot(headMatrix(contributions, head).data, attention.data) / square,
  );
  return { heads, bias: 1 - heads.reduce((sum, part) => sum + part, 0) };
}

/**
 * The attention of one head as wide as all heads of a layer together, [T, T]: its score is the sum of theirs over √H, since
 * Σ q·k / √(H D) = (1 / √H) Σ (q·k / √D).
 */
export function unsplit({ scores, masked }: Look): Tensor {
  const [heads, rows, columns] = scores.shape as [number, number, number];
  const data = new Float32Array(rows * columns);
  for (let cell = 0; cell < data.length; ++cell) {
    for (let head = 0; head < heads; ++head) data[cell] += scores.data[head * data.length + cell] / Math.sqrt(heads);
    if (masked.data[cell] === -Infinity) data[cell] = -Infinity;
  }
  for (let start = 0; start < data.length; start += columns)
    data.set(softmax(data.subarray(start, start + columns)).weights, start);
  return { data, shape: [rows, columns] };
}

/** exp((score − largest) / temperature), their sum, and each over the sum. The largest is subtracted, which changes no weight. */
export function softmax(scores: Float32Array, temperature = 1) {
  const largest = scores.reduce((most, value) => Math.max(most, value), -Infinity);
  const exponentials = Float64Array.from(scores, (score) => Math.exp((score - largest) / temperature));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return { largest, exponentials, total, weights: exponentials.map((value) => value / total) };
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; ++i) sum += a[i] * b[i];
  return sum;
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
