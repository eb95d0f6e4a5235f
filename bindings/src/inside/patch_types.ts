/** The public types of ablation and patching. */
import type { Tensor, Tokens } from "../base/types.js";
import type { Batch, Edit, NormScales } from "../transformer/types.js";
import type { LogitMetric, Metric } from "./logit_types.js";

/** Options of `ablateHeads`. */
export interface AblateHeadsOptions {
  /**
   * What replaces the output of a head. `"zero"`: 0. `"mean"`: its mean over all tokens of the batches. `"resample"`: its output at the same
   * tokens of another sequence, drawn for each sequence.
   */
  with: "zero" | "mean" | "resample";
  /** What is measured, as the mean over all sequences. Default: the mean cross-entropy in nats over the targets. */
  metric?: Metric;
  /** Of `"mean"`: over all tokens, or over the sequences, for each position. Default `"tokens"`. */
  meanOver?: "tokens" | "batch";
  /** Whether `"zero"` leaves the head its value bias, as after TransformerLens's `fold_value_biases`. Default false. */
  foldValueBiases?: boolean;
  /** Seed of `"resample"`: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** Result of `ablateHeads`: what is measured without each head, [N, H]. */
export interface HeadAblation extends Tensor {
  /** What is measured of the whole model. */
  readonly baseline: number;
}

/**
 * How finely a place is patched: `"head"`, [N, H]; `"token"`, [N, L]; `"both"`, [N, L, H]. At keys and values, H is the number of key/value
 * heads; the token of `"weights"` is the query. Places without heads are patched by token.
 */
export type PatchBy = "head" | "token" | "both";

/** Options of `patch`. */
export interface PatchOptions {
  /** The place, as in `Edit`; none of the norms. */
  at: Exclude<Edit["at"], keyof NormScales>;
  /** What is patched at once: a head, a token, or a head at a token. */
  by: PatchBy;
  /** What is measured of the logits. */
  metric: Metric;
}

/** Options of `attributionPatch`, which needs a metric that has a gradient. */
export interface AttributionPatchOptions extends Omit<PatchOptions, "metric"> {
  /** The logit difference whose gradient is taken. */
  metric: LogitMetric;
}

/** The metric of the corrupted run with one part as in the clean run, not normalised: [N, H], [N, L] or [N, L, H]. NaN of heads that were pruned. */
export interface PatchMap extends Tensor {
  /** The metric of the clean run. */
  readonly clean: number;
  /** The metric of the corrupted run. */
  readonly corrupted: number;
}

/** An estimate of how much the metric of the corrupted run changes by each patch; shapes as in `PatchMap`. */
export interface AttributionMap extends Tensor {
  /** The metric of the corrupted run. */
  readonly corrupted: number;
}

/** What a head reads with: a head for `"query"`, a key/value head for `"key"` and `"value"`, by its index in `Edit`. */
export interface Receiver {
  /** Index of the layer. */
  layer: number;
  /** Index of the head in its layer. */
  head: number;
  /** Which of the head's inputs receives the path. */
  at: "query" | "key" | "value";
}

/** Options of `pathPatch`. */
export interface PathPatchOptions {
  /** Where the paths end. */
  to: "logits" | readonly Receiver[];
  /** What is measured of the logits. */
  metric: Metric;
  /** Whether the feed-forwards, too, stay as in the corrupted run. Default false: paths may go through them. */
  freezeFeedForward?: boolean;
}

/** Batches to measure on: tokens and the token to predict at each; without targets it is the next one. */
export type Batches = readonly (Tokens | string | (Pick<Batch, "tokens"> & Partial<Batch>))[];
