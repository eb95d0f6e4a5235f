/** The matrices of heads with the weights of the norms folded into them, and products of such matrices. */
import { attention } from "../attention/attention.js";
import { oneOf } from "../base/checks.js";
import type { Instance } from "../runtime/instance.js";
import type { Model } from "../transformer/transformer.js";
import { unsupported } from "./model.js";
import { dot, layerMatrices, type HeadMatrices, type ParameterReader } from "./weights.js";

/** Rows [.., E]: each times the weight, less its mean (of layer norm). `weight`: none is 1. */
export function foldRows(
  rows: Float32Array,
  weight: Float32Array | undefined,
  E: number,
  centres: boolean,
): Float32Array {
  const folded = rows.map((value, n) => value * (weight?.[n % E] ?? 1));
  if (!centres) return folded;
  for (let first = 0; first < folded.length; first += E) {
    const row = folded.subarray(first, first + E);
    const mean = row.reduce((sum, value) => sum + value, 0) / E;
    row.forEach((value, e) => (row[e] = value - mean));
  }
  return folded;
}

export const checkFoldNorms = oneOf<boolean | "before">([true, false, "before"]);

/**
 * The matrices of a layer's heads. Folded: what reads the stream takes the weight of the norm before it, and with layer norm all are
 * centred. Unless `fold` is "before", queries and keys take the weights of their own norms, too, and what writes that of a norm behind it.
 */
export function circuitMatrices(
  model: Model,
  layer: number,
  fold: boolean | "before",
  reader: ParameterReader,
): HeadMatrices[] {
  const matrices = layerMatrices(model, layer, reader);
  if (!fold) return matrices;
  const { embedDim: E, norm } = model.config;
  const name = `layers.${layer}`;
  const centres = norm === "layer";
  const weightOf = (norm: string) => reader.find(`${name}.${norm}.weight`);
  const before = weightOf("norm1");
  const [after, queryNorm, keyNorm] =
    fold === "before" ? [] : ["norm1_after", "attention.q_norm", "attention.k_norm"].map(weightOf);
  const read = (rows: Float32Array, own?: Float32Array) =>
    foldRows(
      own ? rows.map((value, n) => value * own[Math.floor(n / E)]!) : rows,
      before,
      E,
      centres && before !== undefined,
    );
  return matrices.map(({ q, k, v, o, valueBias }) => ({
    ...{ q: read(q, queryNorm), k: read(k, keyNorm), v: read(v) },
    ...{ o: foldRows(o, after, E, centres), valueBias },
  }));
}

export function refuseFolding({ config }: Model, call: string): void {
  if (config.normPlacement === "after")
    throw unsupported(
      call,
      "the model has its norms after the sums (post-norm), which cannot be folded; expected foldNorms: false",
    );
}

/** A Bᵀ of A [m, width] and B [n, width], [m, n]: attention scores of queries A and keys B. */
export function multiply(instance: Instance, a: Float32Array, b: Float32Array, width: number): Float32Array {
  const [query, key] = [a, b].map((data) => ({ data, shape: [data.length / width, width] }));
  const value = { data: new Float32Array(key!.shape[0]!), shape: [key!.shape[0]!, 1] };
  return attention(instance, query!, key!, value, { scale: 1, return: { weights: "scores" } }).weights.data;
}

/** R [D, D] with Rᵀ R = A Aᵀ, of A [D, width] (Cholesky): |Aᵀ x| = |R x|. */
export function gramRoot(a: Float32Array, width: number): Float64Array {
  const D = a.length / width;
  const row = (d: number) => a.subarray(d * width, (d + 1) * width);
  const root = new Float64Array(D * D);
  for (let i = 0; i < D; ++i) {
    for (let j = i; j < D; ++j) {
      let rest = dot(row(i), row(j));
      for (let k = 0; k < i; ++k) rest -= root[k * D + i]! * root[k * D + j]!;
      const pivot = j === i ? Math.sqrt(Math.max(rest, 0)) : root[i * D + i]!;
      root[i * D + j] = j === i ? pivot : pivot > 0 ? rest / pivot : 0;
    }
  }
  return root;
}

/** R A of R [D, D] and A [D, width]. */
export function transform(root: Float64Array, a: Float32Array, width: number): Float32Array {
  const D = a.length / width;
  const result = new Float64Array(a.length);
  for (let i = 0; i < D; ++i)
    for (let j = i; j < D; ++j) {
      const factor = root[i * D + j]!; // R is upper triangular
      for (let e = 0; e < width; ++e) result[i * width + e]! += factor * a[j * width + e]!;
    }
  return Float32Array.from(result);
}
