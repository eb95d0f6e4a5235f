/** How much each head's output reaches the queries, keys or values of the heads after it. */
import { checkOneOf } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { checkFoldNorms, circuitMatrices, gramRoot, multiply, refuseFolding, transform } from "./folded.js";
import { checkTextModel, headColumns, unknownTensor } from "./model.js";
import type { CircuitOptions, Composition } from "./types.js";
import { ParameterReader, type HeadMatrices } from "./weights.js";

const optionTable = { foldNorms: withDefault(checkFoldNorms, true) } satisfies OptionTable<CircuitOptions>;

const norm = (data: Float32Array) => Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));

/** What a head reads with, M with |x W| = |M xᵀ| for the matrix W that it reads with. */
const reading: Readonly<Record<Composition, (of: HeadMatrices, E: number) => Float32Array>> = {
  Q: ({ q, k }, E) => transform(gramRoot(k, E), q, E),
  K: ({ q, k }, E) => transform(gramRoot(q, E), k, E),
  V: ({ v, o }, E) => transform(gramRoot(o, E), v, E),
};

const stacked = (matrices: readonly Float32Array[]) => {
  const all = new Float32Array(matrices.reduce((sum, { length }) => sum + length, 0));
  let to = 0;
  for (const matrix of matrices) {
    all.set(matrix, to);
    to += matrix.length;
  }
  return all;
};

/** |A_h B_gᵀ| for the heads h and g whose rows A and B are stacks of, from the product of the stacks. */
function blockNorm(product: Float32Array, columns: number, D: number, h: number, g: number): number {
  let sum = 0;
  for (let i = h * D; i < (h + 1) * D; ++i)
    for (let j = g * D; j < (g + 1) * D; ++j) sum += product[i * columns + j]! ** 2;
  return Math.sqrt(sum);
}

export function* composeHeads(
  instance: Instance,
  modelLike: unknown,
  kindLike: Composition,
  optionsLike?: CircuitOptions,
): LongWork<Tensor> {
  const kind = checkOneOf(kindLike, "composition", ["Q", "K", "V"] as const);
  const { foldNorms } = readOptions(optionsLike, "composeHeads", optionTable);
  const model = checkTextModel(modelLike, instance, "composeHeads");
  if (foldNorms) refuseFolding(model, "composeHeads");
  const { layers: N, embedDim: E, headDim: D } = model.config;
  const reader = new ParameterReader(model);
  const step = counter(N + (N * (N - 1)) / 2);
  const writers: Float32Array[][] = [];
  const readers: Float32Array[][] = [];
  for (let n = 0; n < N; ++n) {
    const heads = circuitMatrices(model, n, foldNorms, reader);
    writers.push(heads.map(({ v, o }) => transform(gramRoot(v, E), o, E)));
    readers.push(heads.map((head) => reading[kind](head, E)));
    yield step();
  }
  const { count: H, of } = headColumns(model.config);
  const map = unknownTensor(N, H, N, H);
  const norms = [writers, readers].map((layers) => layers.map((heads) => heads.map(norm)));
  for (let n = 0; n < N; ++n) {
    for (let m = 0; m < N; ++m) {
      const [here, there] = [of[n]!, of[m]!];
      const columns = there.length * D;
      const later = n < m && here.length > 0 && columns > 0;
      const product = later ? multiply(instance, stacked(writers[n]!), stacked(readers[m]!), E) : undefined;
      here.forEach((from, h) =>
        there.forEach((to, g) => {
          const size = norms[0]![n]![h]! * norms[1]![m]![g]!;
          const value = product && size > 0 ? blockNorm(product, columns, D, h, g) / size : 0;
          map.data[((n * H + from) * N + m) * H + to] = value;
        }),
      );
      if (n < m) yield step();
    }
  }
  return map;
}
