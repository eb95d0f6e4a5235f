/**
 * The public types of attention. Dimension letters, the same everywhere: B batch, H query heads, G key/value heads, L query
 * length, S key length (past and new), P past length, D head width, Dv value head width, E model width.
 */
import type { Asked, HalfFloats, Tensor, TensorLike, Tokens } from "../base/types.js";

/**
 * A mask, broadcast as in NumPy (right-aligned) to [B, H, L, S]: rank 3 is [H or 1, L, S], a key-padding mask is
 * [B, 1, 1, S]. A last axis of 2 … S − 1 masks the keys beyond it. Floats are added to the scores (`-Infinity` masks); in
 * integer arrays 0 masks and anything else attends.
 */
export interface Mask {
  readonly data: Float32Array | HalfFloats | Uint8Array | Int32Array | BigInt64Array;
  readonly shape: readonly number[];
}

/**
 * Which keys of each batch row are tokens and which are padding: [B, S], or [1, S] or [S] for all rows; 0 masks the key, anything
 * else attends. This is Hugging Face's `attention_mask`; PyTorch's `key_padding_mask` is its opposite (true masks).
 */
export interface KeyMask {
  readonly data: Uint8Array | Int32Array | BigInt64Array;
  readonly shape: readonly number[];
}

/** Which keys queries may attend to. All kinds of masking combine; a query that sees no key gives zeros. */
export interface VisibilityOptions {
  mask?: Mask | { readonly data: unknown; readonly dims: readonly number[] };
  /** Masks keys of padding beside `mask`: 0 masks. S counts past keys too. A mask with `dims` is accepted as well. */
  keyMask?: KeyMask | { readonly data: unknown; readonly dims: readonly number[] };
  /** Key j is visible to query i if and only if j <= i + offset. Default false. */
  causal?: boolean;
  /** Key j is visible to query i if and only if i + offset - left <= j <= i + offset + right: integers >= 0; a side left out is unbounded. */
  window?: { left?: number; right?: number };
  /** Where query 0 stands among the keys, in all batch rows or in each ([B]); may be negative. Default: the past length, else 0. */
  offset?: number | Int32Array;
  /** [B]: how many leading keys of each batch row are valid, past ones included; the rest is masked. Default: all S. */
  keyLengths?: Int32Array;
}

/** What the weights of a query are taken from: the scores scale · q · k; the same after the softcap; after the mask, with -Infinity where masked; after the softmax. */
export type WeightsStage = "scores" | "capped" | "masked" | "probabilities";

/** Keys and values of heads, [B, G, length, D] and [B, G, length, Dv]. */
export interface KeysAndValues<T extends TensorLike = TensorLike> {
  readonly key: T;
  readonly value: T;
}

/** What `Headwise.attention` may return beside its output. */
export interface AttentionReturn {
  /** Each head's attention weights, before the gate, at the stage named: [B, H, L, S] (rank 2: [L, S]). */
  weights?: WeightsStage;
  /** Past and new keys and values, one behind the other: the `past` of a next call. */
  present?: boolean;
}

/** Options of `Headwise.attention`. */
export interface AttentionOptions<Return extends AttentionReturn = AttentionReturn> extends VisibilityOptions {
  /** H. Required for rank 3 (`[B, L, H*D]`), refused for ranks 2 and 4, where the shapes say it. */
  numHeads?: number;
  /** G, which divides H: query head h reads key/value head floor(h * G / H). For rank 3 alone. Default H. */
  numKvHeads?: number;
  /** Earlier keys and values, [B, G, P, D] and [B, G, P, Dv] at every rank (B = G = 1 at rank 2), before the new ones: S = P + new keys. */
  past?: KeysAndValues;
  /** Factor of the scores: finite and >= 0. Default 1 / sqrt(D). */
  scale?: number;
  /** Scores x become softcap * tanh(x / softcap), before the mask: finite and >= 0. Default 0: they stay. */
  softcap?: number;
  /** [H]: multiplies each head's output. A gate of 0 skips the head's work. */
  headGates?: Float32Array;
  return?: Return;
}

/** Result of `Headwise.attention`. */
export type AttentionResult<Return extends AttentionReturn = AttentionReturn> = {
  /** Same rank as the query: [L, Dv], [B, L, H*Dv] or [B, H, L, Dv]. */
  readonly output: Tensor;
  /** [B, H, L, S], for rank 2 [L, S]; only where `return.weights` asked for it. */
  readonly weights?: Tensor;
  /** [B, G, S, D] and [B, G, S, Dv]; only where `return.present` asked for it. */
  readonly present?: KeysAndValues<Tensor>;
} & Asked<Return, "weights"> &
  (Return extends { present: true } ? { readonly present: KeysAndValues<Tensor> } : unknown);

/** How a rotary position embedding turns pairs of a head's numbers: pair k by position · base^(−2k / dim). */
export interface RopeConfig {
  /** > 0. Default 10000. */
  base?: number;
  /** Leading numbers of each head that turn: even, at most D; the rest stays. Default D. */
  dim?: number;
  /** Whether pairs are neighbours (2k, 2k + 1), or else halves (k, k + dim / 2). Default false. */
  interleaved?: boolean;
}

/** Options of `Headwise.rotaryEmbedding`. */
export interface RotaryEmbeddingOptions extends RopeConfig {
  /** H. Required for rank 3 (`[B, L, H*D]`), refused for rank 4, where the shape says it. */
  numHeads?: number;
  /** [B, L]: the position of each token; with `cos` and `sin`, their row. Default 0 … L − 1. */
  positions?: Int32Array;
  /** Cosines and sines in the place of `base`: [maxPosition, dim / 2] with `positions`, [B, L, dim / 2] without. */
  cos?: TensorLike;
  sin?: TensorLike;
}

/** Which keys the analysed weights could attend to, as in `AttentionOptions`, and what these are. */
export interface AnalyzeHeadsOptions extends VisibilityOptions {
  /** [B, S], or [S] for all batch rows: the tokens of the keys, for `duplicate` and `induction`. The token of query i is that of key i + offset. */
  tokens?: Tokens;
}

/**
 * One head's statistics: means over the queries of all batch rows. Query i stands at place p = i + offset among the keys.
 * `first` to `induction` go over the queries that may attend to such a key, the others over those that may attend to
 * any; 0 where there is no such query. docs/heads.md says how these relate to what others measure.
 */
export interface HeadStatistics {
  /** Entropy of a query's weights divided by the logarithm of the number of keys it may attend to: 0 (one key) … 1 (uniform). Queries with a single allowed key are left out. */
  readonly entropy: number;
  /** Mean of |p − j|, weighted by the attention weights: in tokens. */
  readonly distance: number;
  /** The largest weight (Voita et al. 2019): 0 … 1. */
  readonly confidence: number;
  /** The weight on key 0. */
  readonly first: number;
  /** The weight on key p − 1. */
  readonly previous: number;
  /** The weight on key p + 1. */
  readonly next: number;
  /** The weight on key p. */
  readonly self: number;
  /** With `tokens`: the weight on all keys j < p that hold the same token as key p. */
  readonly duplicate?: number;
  /** With `tokens`: the weight on all keys j ≤ p that come right after an earlier key (j − 1 < p) with the same token as key p (Olsson et al. 2022). */
  readonly induction?: number;
}
