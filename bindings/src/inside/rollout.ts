/** Attention rollout: attention through all layers. */
import { float64, invalidOption, invalidShape, readList } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import { checkTensor, sameShape } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import type { RolloutOptions } from "./types.js";

const optionTable = {
  residual: withDefault(float64(">= 0 and <= 1"), 0.5),
} satisfies OptionTable<RolloutOptions>;

/** Weights of each layer, as [B, H, L, L]. */
function checkWeights(value: unknown): { layers: Tensor[]; leading: readonly number[] } {
  const list = readList(value, "weights", "an array with the attention weights of each layer");
  if (list.length === 0) throw invalidOption("weights", "the weights of at least one layer", list);
  let leading: readonly number[] = [];
  const layers = list.map((each, n) => {
    const { data, shape } = checkTensor(each, `weights[${n}]`);
    const rank = shape.length;
    if ((rank !== 3 && rank !== 4) || shape.at(-1) !== shape.at(-2))
      throw invalidShape(`weights[${n}]`, "[B, H, L, L] or [H, L, L]", shape);
    leading = n === 0 ? shape.slice(0, rank - 3) : leading;
    return { data, shape: rank === 4 ? shape : [1, ...shape] };
  });
  const [batch, , length] = layers[0]!.shape as [number, number, number];
  for (const [n, { shape }] of layers.entries())
    if (!sameShape([shape[0]!, shape[2]!], [batch, length]))
      throw invalidShape(`weights[${n}]`, `B = ${batch} and L = ${length}, as weights[0] has`, shape);
  return { layers, leading };
}

/** residual · I + (1 − residual) · mean over the heads, [L, L] of row b, its rows divided by their sums. */
function mixed({ data, shape }: Tensor, b: number, residual: number): Float64Array {
  const [, H, L] = shape as [number, number, number];
  const mix = new Float64Array(L * L);
  for (let h = 0; h < H; ++h) {
    const from = (b * H + h) * L * L;
    for (let n = 0; n < L * L; ++n) mix[n]! += ((1 - residual) * data[from + n]!) / H;
  }
  for (let i = 0; i < L; ++i) {
    mix[i * L + i]! += residual;
    const row = mix.subarray(i * L, (i + 1) * L);
    const sum = row.reduce((all, value) => all + value, 0);
    if (sum > 0) row.forEach((value, j) => (row[j] = value / sum));
  }
  return mix;
}

export function* rollout(_: Instance, weightsLike: unknown, optionsLike?: RolloutOptions): LongWork<Tensor> {
  const { residual } = readOptions(optionsLike, "rollout", optionTable);
  const { layers, leading } = checkWeights(weightsLike);
  const [B, , L] = layers[0]!.shape as [number, number, number];
  const step = counter(layers.length);
  let rolled = Array.from({ length: B }, () =>
    Float64Array.from({ length: L * L }, (_, n) => Number(n % (L + 1) === 0)),
  );
  for (const layer of layers) {
    rolled = rolled.map((before, b) => {
      const mix = mixed(layer, b, residual);
      const after = new Float64Array(L * L);
      for (let i = 0; i < L; ++i)
        for (let k = 0; k < L; ++k) {
          const weight = mix[i * L + k]!;
          if (weight !== 0) for (let j = 0; j < L; ++j) after[i * L + j]! += weight * before[k * L + j]!;
        }
      return after;
    });
    yield step();
  }
  const data = new Float32Array(B * L * L);
  rolled.forEach((each, b) => data.set(each, b * L * L));
  return { data, shape: [...leading, L, L] };
}
