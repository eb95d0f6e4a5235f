import type { Tensor } from "headwise";

export interface EmbeddingWeights {
  /** [vocabulary, E] */
  readonly table: Tensor;
  /** [E / 2], of the positions' sines and cosines. */
  readonly frequencies: Tensor;
  /** [E] */
  readonly normScale: Tensor;
  /** [E] */
  readonly normBias: Tensor;
  readonly epsilon: number;
}

/** What layer 0's attention reads: layerNorm(2 · embedding + timing), [T, E]. The model adds the embedding to itself. */
export function embed(
  ids: readonly number[],
  { table, frequencies, normScale, normBias, epsilon }: EmbeddingWeights,
): Tensor {
  const [vocabulary, width] = table.shape;
  const half = width / 2;
  const data = new Float32Array(ids.length * width);
  for (const [position, id] of ids.entries()) {
    if (!(id >= 0 && id < vocabulary)) throw new RangeError(`token id ${id} is not in 0 … ${vocabulary - 1}`);
    const row = data.subarray(position * width, (position + 1) * width);
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies.data[i]);
      row[i] = 2 * table.data[id * width + i] + Math.sin(angle);
      row[half + i] = 2 * table.data[id * width + half + i] + Math.cos(angle);
    }
    normalize(row, normScale.data, normBias.data, epsilon);
  }
  return { data, shape: [ids.length, width] };
}

/** Layer normalisation of one row [E], in place. */
function normalize(row: Float32Array, scale: Float32Array, bias: Float32Array, epsilon: number): void {
  const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
  const factor = 1 / Math.sqrt(variance + epsilon);
  for (let i = 0; i < row.length; i++) row[i] = (row[i] - mean) * factor * scale[i] + bias[i];
}
