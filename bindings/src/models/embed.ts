/** One vector for each text, from the hidden states of its tokens. */
import { allocate } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import type { Pooling } from "./model_settings.js";

/** Texts that run together: more of them fill the threads no better, and are padded more. */
const rowsAtOnce = 16;

/** What the model says of a padded batch. */
export type Forward = (
  tokens: { data: Int32Array; shape: readonly number[] },
  mask: { data: Int32Array; shape: readonly number[] },
) => { readonly hidden: Tensor; readonly embedding?: Tensor };

/** One token more or less makes little difference: neighbours in this order are padded little. */
function inBatches(rows: readonly Int32Array[]): number[][] {
  const order = rows.map((_, n) => n).sort((one, other) => rows[other]!.length - rows[one]!.length || one - other);
  return Array.from({ length: Math.ceil(order.length / rowsAtOnce) }, (_, n) =>
    order.slice(n * rowsAtOnce, (n + 1) * rowsAtOnce),
  );
}

/** Of a row's first `count` hidden states, [count, E]. */
function pool(hidden: Float32Array, count: number, pooling: Pooling, vector: Float32Array): void {
  const E = vector.length;
  if (pooling !== "mean") {
    const at = pooling === "first" ? 0 : count - 1;
    vector.set(hidden.subarray(at * E, (at + 1) * E));
    return;
  }
  for (let i = 0; i < count; ++i) for (let e = 0; e < E; ++e) vector[e]! += hidden[i * E + e]!;
  for (let e = 0; e < E; ++e) vector[e]! /= count;
}

function scaleToUnit(vector: Float32Array): void {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.max(Math.sqrt(squares), 1e-12);
  for (let e = 0; e < vector.length; ++e) vector[e]! /= length;
}

/** @param rows tokens of each text, one at least. Returns [B, E]. */
export function embedRows(
  rows: readonly Int32Array[],
  forward: Forward,
  { pooling, normalize }: { pooling: Pooling; normalize: boolean },
): Tensor {
  let data = new Float32Array(0);
  let width = 0;
  for (const batch of inBatches(rows)) {
    const length = rows[batch[0]!]!.length;
    const shape = [batch.length, length];
    const tokens = new Int32Array(batch.length * length);
    const mask = new Int32Array(tokens.length);
    batch.forEach((row, b) => {
      tokens.set(rows[row]!, b * length);
      mask.fill(1, b * length, b * length + rows[row]!.length);
    });
    const { hidden, embedding } = forward({ data: tokens, shape }, { data: mask, shape });
    if (width === 0) {
      width = (embedding ?? hidden).shape.at(-1)!;
      data = new Float32Array(allocate(4 * rows.length * width));
    }
    batch.forEach((row, b) => {
      const vector = data.subarray(row * width, (row + 1) * width);
      if (embedding === undefined)
        pool(hidden.data.subarray(b * length * width, (b + 1) * length * width), rows[row]!.length, pooling, vector);
      else vector.set(embedding.data.subarray(b * width, (b + 1) * width));
      if (normalize) scaleToUnit(vector);
    });
  }
  return { data, shape: [rows.length, width] };
}
