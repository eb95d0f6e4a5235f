/** Places of a layer at which a forward pass can be read and changed. */
import { attentionConfig } from "./config.js";
import type { NormScales, ResolvedTransformerConfig } from "./types.js";

/** Norms of a layer; what is at their places is what they divide by. */
export const norms = ["norm1", "norm1After", "norm2", "norm2After", "queryNorm", "keyNorm"] as const;
type NormName = keyof NormScales;

/** In the core's order: that of the computation, and then the norms. */
export const places = [
  ...["before", "queries", "keys", "values", "weights", "heads"],
  ...["attention", "middle", "feedForward", "after"],
  ...norms,
] as const as readonly PlaceName[];

export type PlaceName =
  | ("before" | "queries" | "keys" | "values" | "weights" | "heads" | "attention" | "middle" | "feedForward" | "after")
  | NormName;

/** The norms that a layer has. */
export function normsOf(config: ResolvedTransformerConfig, layer: number): readonly NormName[] {
  const { normPlacement, feedForwardDim, queryKeyNorm, layerOptions } = config;
  const both = normPlacement === "both";
  const second = feedForwardDim > 0 && normPlacement !== "parallel-shared";
  const there = [layerOptions[layer]!.norm1 !== false, both, second, second && both, queryKeyNorm, queryKeyNorm];
  return norms.filter((_, n) => there[n]);
}

/** The shape of what is at a place, without batch: [heads, length, width], or of the whole layer [length, width]. */
export function placeShape(
  config: ResolvedTransformerConfig,
  layer: number,
  place: PlaceName,
  length: number,
): readonly number[] {
  const { embedDim, headDim, heads } = config;
  const H = heads[layer]!.length;
  const G = attentionConfig(config, layer).numKvHeads;
  if (place === "weights") return [H, length, length];
  if (place === "queries" || place === "heads") return [H, length, headDim];
  if (place === "keys" || place === "values") return [G, length, headDim];
  if (place === "queryNorm") return [H, length, 1];
  if (place === "keyNorm") return [G, length, 1];
  return [length, norms.includes(place as NormName) ? 1 : embedDim];
}
