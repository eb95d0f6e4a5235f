/** Places of a layer at which a forward pass can be read and changed. */
import { attentionConfig } from "./config.js";
import type { ResolvedTransformerConfig } from "./types.js";

/** In the core's order, which is that of the computation. */
export const places = [
  ...["before", "queries", "keys", "values", "weights", "heads"],
  ...["attention", "middle", "feedForward", "after"],
] as const as readonly PlaceName[];

export type PlaceName =
  "before" | "queries" | "keys" | "values" | "weights" | "heads" | "attention" | "middle" | "feedForward" | "after";

/** The shape of what is at a place, without batch: [heads, length, width], or of the whole layer [length, width]. */
export function placeShape(
  config: ResolvedTransformerConfig,
  layer: number,
  place: PlaceName,
  length: number,
): readonly number[] {
  const { embedDim, headDim, heads } = config;
  const H = heads[layer]!.length;
  if (place === "weights") return [H, length, length];
  if (place === "queries" || place === "heads") return [H, length, headDim];
  if (place === "keys" || place === "values") return [attentionConfig(config, layer).numKvHeads, length, headDim];
  return [length, embedDim];
}
