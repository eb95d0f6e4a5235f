import type { Tensor } from "headwise";

export interface EmbeddingWeights {
  /** [vocabulary, E] */
  readonly table: Tensor;
  /** [E / 2], of the positions' sines and cosines. */
  readonly frequencies: Tensor;
  /** [E] */
  readonly normWeight: Tensor;
  /** [E] */
  readonly normBias: Tensor;
  readonly epsilon: number;
}

/** x = 2 · embedding + timing, [T, E] (the model adds the embedding to itself), and what layer 0's attention reads: layerNorm(x). */
export function embed(ids: readonly number[], weights: EmbeddingWeights): { x: Tensor; normed: Tensor } {
  const { table, frequencies, normWeight, normBias, epsilon } = weights;
  const [vocabulary, width] = table.shape;
  const half = width / 2;
  const x = new Float32Array(ids.length * width);
  const normed = new Float32Array(ids.length * width);
  for (const [position, id] of ids.entries()) {
    if (!(id >= 0 && id < vocabulary)) throw new RangeError(`token id ${id} is not in 0 … ${vocabulary - 1}`);
    const row = x.subarray(position * width, (position + 1) * width);
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies.data[i]);
      row[i] = 2 * table.data[id * width + i] + Math.sin(angle);
      row[half + i] = 2 * table.data[id * width + half + i] + Math.cos(angle);
    }
    normalize(row, normWeight.data, normBias.data, epsilon, normed.subarray(position * width));
  }
  const shape = [ids.length, width];
  return { x: { data: x, shape }, normed: { data: normed, shape } };
}

/** Layer normalisation of one row [E] into the beginning of `result`. */
function normalize(
  row: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  epsilon: number,
  result: Float32Array,
): void {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  const factor = 1 / Math.sqrt(variance + epsilon);
  for (let i = 0; i < row.length; i++) result[i] = (row[i] - mean) * factor * weight[i] + bias[i];
}
