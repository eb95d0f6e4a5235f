/** One row of attention, step by step: the numbers of the library's captures, and what is between them. No DOM. */
import { dot, headMatrix, softmax } from "../heads/statistics";
import type { Look } from "../heads/subject";

export const STEPS = [
  { factor: "products", title: "Compare: the query with every key, feature by feature" },
  { factor: "scale", title: "Scale: the same factor for every sum" },
  { factor: "mask", title: "Mask: what the query may not see" },
  { factor: "softmax", title: "Softmax: exponentials, divided by their sum" },
  { factor: "values", title: "Mix: the value rows, by weight" },
  { factor: "output", title: "Output: through W_O, added to the other heads" },
] as const;

/** Of the figures of a step. */
export interface Files {
  /** The model's title. */
  readonly model: string;
  /** Begins the files' names. */
  readonly name: string;
  /** Which head and query they are of. */
  readonly of: string;
}

/** Of one head and one query; T keys, D features of the head, E of the residual stream. */
export interface Row {
  /** [D] */
  readonly query: Float32Array;
  /** Row by key, [D] each. */
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
  /** The sum of the products, [T]. */
  readonly sums: readonly number[];
  readonly scale: number;
  /** √D if that is what `scale` divides by, as in most models. */
  readonly root: number | null;
  readonly scores: Float32Array;
  readonly softcap: number;
  readonly alibi: boolean;
  readonly masked: Float32Array;
  /** The largest masked score: subtracted before the exponential, which changes no weight. */
  readonly largest: number;
  readonly exponentials: Float64Array;
  readonly total: number;
  readonly weights: Float32Array;
  /** The head's own output [D]. */
  readonly output: Float32Array;
  /** What each head adds [E], after its gate; this one's among them. */
  readonly contributions: readonly Float32Array[];
  readonly bias: Float32Array;
  /** Their sum [E]. */
  readonly attention: Float32Array;
}

const rowOf = ({ data, shape }: { data: Float32Array; shape: readonly number[] }, row: number) =>
  data.subarray(row * shape[1], (row + 1) * shape[1]);

/** @param weights the layer's attention probabilities [H, T, T] */
export function rowOfHead(look: Look, weights: Look["scores"], head: number, query: number): Row {
  const [heads, , width] = look.queries.shape as [number, number, number];
  const group = Math.floor((head * look.keys.shape[0]) / heads);
  const rows = (tensor: Look["keys"]) => {
    const matrix = headMatrix(tensor, group);
    return Array.from({ length: matrix.shape[0] }, (_, row) => rowOf(matrix, row));
  };
  const scores = rowOf(headMatrix(look.scores, head), query);
  const masked = rowOf(headMatrix(look.masked, head), query);
  const keys = rows(look.keys);
  const q = rowOf(headMatrix(look.queries, head), query);
  const { scale, softcap, alibi } = look;
  const root = Math.abs(scale * Math.sqrt(width) - 1) < 1e-6 ? Math.sqrt(width) : null;
  const { largest, exponentials, total } = softmax(masked);
  const contributions = Array.from({ length: heads }, (_, h) => rowOf(headMatrix(look.contributions, h), query));
  const attention = rowOf(look.attention, query);
  return {
    query: q,
    keys,
    values: rows(look.values),
    sums: keys.map((key) => dot(q, key)),
    ...{ scale, root, scores, softcap, alibi, masked, largest, exponentials, total },
    weights: rowOf(headMatrix(weights, head), query),
    output: rowOf(headMatrix(look.outputs, head), query),
    contributions,
    bias: attention.map((value, e) => value - contributions.reduce((sum, row) => sum + row[e], 0)),
    attention,
  };
}
