/**
 * The public types of attention. Dimension letters, used everywhere: B batch, H query heads, G key/value heads, L number of
 * queries, S number of keys (past and new), P number of past keys, D head width, Dv value head width, E model width.
 */
import type { Asked, HalfFloats, Tensor, TensorLike, Tokens } from "../base/types.js";

/**
 * An attention mask. Its shape is broadcast to [B, H, L, S] from the right, as in NumPy: a rank-3 mask is [H or 1, L, S], a
 * key-padding mask is [B, 1, 1, S]. If the last axis has 2 … S − 1 elements, the keys beyond it are masked. Floats are added to
 * the scores (`-Infinity` masks). In integer arrays 0 masks the key, and any other value attends.
 */
export interface Mask {
  /** Elements, row-major: floats are added, integers say whether a key is seen. */
  readonly data: Float32Array | HalfFloats | Uint8Array | Int32Array | BigInt64Array;
  /** Extents, which broadcast to [B, H, L, S]. */
  readonly shape: readonly number[];
}

/**
 * A key-padding mask: [B, S], or [1, S] or [S] for all batch rows. 0 masks the key (padding), any other value attends (a token).
 * It has the meaning of Hugging Face's `attention_mask`; PyTorch's `key_padding_mask` is the opposite (true masks).
 */
export interface KeyMask {
  /** Elements, row-major: 0 masks. */
  readonly data: Uint8Array | Int32Array | BigInt64Array;
  /** [B, S], [1, S] or [S]. */
  readonly shape: readonly number[];
}

/** Which keys each query may attend to. All kinds of masking combine. The output of a query that sees no key is zeros. */
export interface VisibilityOptions {
  /** Additive or boolean mask. A mask with `dims` is accepted as well. */
  mask?: Mask | { readonly data: unknown; readonly dims: readonly number[] };
  /** Masks padding keys, together with `mask`: 0 masks. S includes past keys. A mask with `dims` is accepted as well. */
  keyMask?: KeyMask | { readonly data: unknown; readonly dims: readonly number[] };
  /** Key j is visible to query i if and only if j <= i + offset. Default false. */
  causal?: boolean;
  /** Sliding window: key j is visible to query i if and only if i + offset - left <= j <= i + offset + right. Integers >= 0; an omitted side is unbounded. */
  window?: { left?: number; right?: number };
  /** Position of query 0 among the keys: a number for all batch rows, or one per row [B]. May be negative. Default: the number of past keys. */
  offset?: number | Int32Array;
  /** `[B]`: the number of valid keys of each batch row, past keys included. The keys after them are masked. Default: S. */
  keyLengths?: Int32Array;
}

/**
 * The stage at which attention weights are returned: `"scores"`, scale · q · k; `"capped"`, after the softcap; `"masked"`, after ALiBi
 * and the masks, with -Infinity where masked; `"probabilities"`, after the softmax.
 */
export type WeightsStage = "scores" | "capped" | "masked" | "probabilities";

/** Keys [B, G, length, D] and values [B, G, length, Dv] of the key/value heads. */
export interface KeysAndValues<T extends TensorLike = TensorLike> {
  /** Keys, [B, G, length, D]. */
  readonly key: T;
  /** Values, [B, G, length, Dv]. */
  readonly value: T;
}

/** What `Headwise.attention` returns in addition to its output. */
export interface AttentionReturn {
  /** Attention weights of each head at this stage, before the gates: [B, H, L, S] (rank 2: [L, S]). */
  weights?: WeightsStage;
  /** Whether to return the past and new keys and values, concatenated. They are the `past` of the next call. Default false. */
  present?: boolean;
}

/** Options of `Headwise.attention`. */
export interface AttentionOptions<Return extends AttentionReturn = AttentionReturn> extends VisibilityOptions {
  /** H. Required for rank 3 (`[B, L, H*D]`). Refused for ranks 2 and 4, where the shapes give it. */
  numHeads?: number;
  /** G, which divides H: query head h reads key/value head floor(h * G / H). For rank 3 only. Default H. */
  numKvHeads?: number;
  /** Keys [B, G, P, D] and values [B, G, P, Dv] of earlier tokens, at every rank (rank 2: B = G = 1). They come before the new ones: S = P + new keys. */
  past?: KeysAndValues;
  /** Factor of the scores: finite and >= 0. Default 1 / sqrt(D). */
  scale?: number;
  /** Replaces each score x with softcap * tanh(x / softcap), before the mask: finite and >= 0. Default 0: no softcap. */
  softcap?: number;
  /** `[H]`: factor of each head's output. A head with gate 0 is not computed. Default: 1 for each head. */
  headGates?: Float32Array;
  /** What to return besides the output. Default: nothing. */
  return?: Return;
}

/** Result of `Headwise.attention`. */
export type AttentionResult<Return extends AttentionReturn = AttentionReturn> = {
  /** [L, Dv], [B, L, H*Dv] or [B, H, L, Dv]: the rank is that of the query. */
  readonly output: Tensor;
  /** [B, H, L, S] (rank 2: [L, S]). Only if `return.weights` was given. */
  readonly weights?: Tensor;
  /** [B, G, S, D] and [B, G, S, Dv]. Only if `return.present` was true. */
  readonly present?: KeysAndValues<Tensor>;
} & Asked<Return, "weights"> &
  (Return extends { present: true } ? { readonly present: KeysAndValues<Tensor> } : unknown);

/** A rotary position embedding (Su et al. 2021): pair k of a head's elements is rotated by the angle position · base^(−2k / dim). */
export interface RopeConfig extends RopePairs {
  /** How the frequencies are scaled for longer texts. Default: no scaling. */
  scaling?: RopeScaling;
}

/** Scaling of the rotary frequencies for longer texts, as in published models. */
export interface RopeScaling {
  /**
   * `"linear"`: divides all frequencies by `factor`. `"dynamic"`: uses a larger base for texts longer than `originalLength`. `"yarn"` (Peng et
   * al. 2023) and `"llama3"`: divide low frequencies, keep high ones, and interpolate between them.
   */
  type: "linear" | "dynamic" | "yarn" | "llama3";
  /** Ratio of the new to the original text length: > 0. */
  factor: number;
  /** Text length in tokens of the original training. Required except for `"linear"`. */
  originalLength?: number;
  /** `"llama3"`: frequencies with fewer rotations than this within the original length are divided. */
  lowFrequencyFactor?: number;
  /** `"llama3"`: frequencies with more rotations than this within the original length are kept. */
  highFrequencyFactor?: number;
  /** `"yarn"`: like `highFrequencyFactor`. Default 32. */
  betaFast?: number;
  /** `"yarn"`: like `lowFrequencyFactor`. Default 1. */
  betaSlow?: number;
  /** `"yarn"`: factor of cosines and sines. Default 0.1 ln(factor) + 1. */
  attentionFactor?: number;
}

/** The pairs of elements that are rotated, and the base of the angles. */
export interface RopePairs {
  /** Base of the angles (the `theta` of many models): > 0. Default 10000. */
  base?: number;
  /** Number of leading elements of each head that are rotated: even, 2 … D. The others are unchanged. Default D. */
  dim?: number;
  /** `true`: pair k is the elements (2k, 2k + 1), as in the paper. `false` (default): (k, k + dim / 2), as in GPT-NeoX and Hugging Face's Llama. */
  interleaved?: boolean;
}

/** A rotary embedding with every default filled in. */
export type ResolvedRope = Required<RopePairs> & Pick<RopeConfig, "scaling">;

/** Options of `Headwise.rotaryEmbedding`. */
export interface RotaryEmbeddingOptions extends RopePairs {
  /** H. Required for rank 3 (`[B, L, H*D]`). Refused for rank 4, where the shape gives it. */
  numHeads?: number;
  /** `[B, L]`: the position of each token. With `cos` and `sin`: the row of the tables. Default 0 … L − 1. */
  positions?: Int32Array;
  /** Cosines of the angles, given together with `sin` and instead of `base`: [maxPosition, dim / 2] with `positions`, [B, L, dim / 2] without. */
  cos?: TensorLike;
  /** Sines of the angles, in the shape of `cos`. */
  sin?: TensorLike;
}

/** Options of `Headwise.analyzeHeads`: which keys each query could attend to, as in `AttentionOptions`, and the tokens of the keys. */
export interface AnalyzeHeadsOptions extends VisibilityOptions {
  /** [B, S], or [S] for all batch rows: the tokens of the keys, needed for `duplicate` and `induction`. The token of query i is the token of key i + offset. */
  tokens?: Tokens;
}

/**
 * Statistics of one head: each is a mean over queries of all batch rows. Query i has the position p = i + offset among the keys.
 * `first` … `induction` average over the queries that may attend to at least one such key, the others over the queries that may
 * attend to at least one key. A statistic without such a query is 0. docs/heads.md has the definitions and sources.
 */
export interface HeadStatistics {
  /** Entropy of the weights, divided by the logarithm of the number of visible keys: 0 (one key) … 1 (uniform). Queries that see fewer than two keys are left out. */
  readonly entropy: number;
  /** Mean of |p − j| weighted by the attention weights, in tokens. */
  readonly distance: number;
  /** Largest weight (Voita et al. 2019): 0 … 1. */
  readonly confidence: number;
  /** Weight on key 0. */
  readonly first: number;
  /** Weight on key p − 1. */
  readonly previous: number;
  /** Weight on key p + 1. */
  readonly next: number;
  /** Weight on key p. */
  readonly self: number;
  /** With `tokens`: weight on all keys j < p whose token equals the token of key p. */
  readonly duplicate?: number;
  /** With `tokens`: weight on all keys j ≤ p that directly follow a key whose token equals the token of key p (Olsson et al. 2022). */
  readonly induction?: number;
}
