/** The extents of attention, read from the shapes of its arguments at every rank. */
import { checkInteger, invalidShape, maxExtent } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { refuseEmpty, sameShape } from "../base/tensor.js";
import type { AttentionOptions, KeysAndValues } from "./types.js";
import type { Tensor } from "../base/types.js";

export interface Extents {
  batch: number;
  heads: number;
  kvHeads: number;
  queries: number;
  past: number;
  keys: number; // new ones: S = past + keys
  headDim: number;
  valueHeadDim: number;
}

/** The shape of a tensor of heads: rank 2 [length, width], 3 [batch, length, heads * width], 4 [batch, heads, length, width]. */
export function shapeAtRank(rank: number, batch: number, heads: number, length: number, width: number): number[] {
  if (rank === 2) return [length, width];
  return rank === 3 ? [batch, length, heads * width] : [batch, heads, length, width];
}

/** A number of heads. Rank 3 requires the option; other ranks refuse it, because the shape gives it. */
export function checkHeads(rank: number, heads: unknown, name: string): number | undefined {
  if (rank === 3) return checkInteger(heads, `${name} (required for rank 3)`, 1, maxExtent);
  if (heads !== undefined)
    throw new HeadwiseError("invalid-option", `${name}: only for rank 3; at rank ${rank} the shapes give it`);
  return undefined;
}

/** The width of a head. Only batch and length of the tensor may be 0. */
export function widthOf(t: Tensor, name: string, heads: number, headsName: string): number {
  const rank = t.shape.length;
  refuseEmpty(t, name);
  const width = t.shape[rank - 1]!;
  if (rank !== 3) return width;
  if (width % heads !== 0) throw invalidShape(name, `a last axis that ${headsName} = ${heads} divides`, t.shape);
  return width / heads;
}

function expectShape(t: Tensor, name: string, expected: readonly number[], match: string, matched: Tensor): void {
  if (!sameShape(t.shape, expected))
    throw invalidShape(name, `[${expected.join(", ")}] to match ${match} [${matched.shape.join(", ")}]`, t.shape);
}

/** Reads the extents from the shapes, and refuses shapes that contradict each other. */
export function extentsOf(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  {
    numHeads,
    numKvHeads = query.shape.length === 3 ? numHeads : undefined,
  }: Pick<AttentionOptions, "numHeads" | "numKvHeads">,
): Omit<Extents, "past"> {
  const rank = query.shape.length;
  if (rank < 2 || rank > 4) throw invalidShape("query", "rank 2 [L, D], 3 [B, L, H*D] or 4 [B, H, L, D]", query.shape);
  for (const [name, t] of Object.entries({ key, value })) {
    if (t.shape.length !== rank) throw invalidShape(name, `rank ${rank}, as query has`, t.shape);
  }
  const headsAtRank4 = (t: Tensor) => (rank === 4 ? t.shape[1]! : 1);
  const heads = checkHeads(rank, numHeads, "numHeads") ?? headsAtRank4(query);
  const kvHeads = checkHeads(rank, numKvHeads, "numKvHeads") ?? headsAtRank4(key);
  const headDim = widthOf(query, "query", heads, "numHeads");
  const valueHeadDim = widthOf(value, "value", kvHeads, "numKvHeads");
  const batch = rank === 2 ? 1 : query.shape[0]!;
  const [queries, keys] = [query.shape.at(-2)!, key.shape.at(-2)!];
  expectShape(key, "key", shapeAtRank(rank, batch, kvHeads, keys, headDim), "query", query);
  expectShape(value, "value", shapeAtRank(rank, batch, kvHeads, keys, valueHeadDim), "key", key);
  if (heads % kvHeads !== 0) {
    throw new HeadwiseError(
      "invalid-shape",
      `${rank === 3 ? "numKvHeads" : "key"}: expected a number of heads that divides query's ${heads}, got ${kvHeads}`,
    );
  }
  return { batch, heads, kvHeads, queries, keys, headDim, valueHeadDim };
}

/** Reads P from earlier keys [B, G, P, D] and values [B, G, P, Dv], at every rank. Refuses shapes that do not match the new keys and values. */
export function fitPast(
  past: KeysAndValues<Tensor>,
  { batch, kvHeads, headDim, valueHeadDim }: Omit<Extents, "past">,
  fresh: KeysAndValues<Tensor>,
): number {
  const length = past.key.shape[2] ?? 0;
  expectShape(past.key, "past.key", [batch, kvHeads, length, headDim], "key", fresh.key);
  expectShape(past.value, "past.value", [batch, kvHeads, length, valueHeadDim], "past.key and value", fresh.value);
  return length;
}
