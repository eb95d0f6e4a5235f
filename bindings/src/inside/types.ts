/** The public types of the analyses of whole models. */
import type { Batch, Edit } from "../transformer/types.js";
import type { Tensor, Tokens, Watchable } from "../base/types.js";

/** Options of all analyses: progress, and a signal that stops them (code `aborted`). */
export interface AnalysisOptions extends Watchable {
  signal?: AbortSignal;
}

/**
 * A logit difference: the logit of `answer` less that of `against`, of the row's own token where there is an array [B]; the mean over the
 * rows. Without `against` it is the logit of `answer`.
 */
export interface LogitMetric {
  readonly answer: number | readonly number[];
  readonly against?: number | readonly number[];
  /** The token at which the logits are read; −1 is the last. Default: the last. */
  readonly position?: number;
}

/** What is measured of a forward pass: a logit difference, or (in `headwise`) a number that a function reads off all logits, [B, L, V]. */
export type Metric = LogitMetric | ((logits: Tensor) => number);

/** Options of `logitLens`. */
export interface LogitLensOptions {
  /** The tokens whose logits are computed. Default `"last"`. */
  positions?: "last" | "all" | readonly number[];
  /** Scale of the last norm: of each stream's own, or that of the last stream (`"frozen"`), with which differences of rows are direct contributions. Default `"own"`. */
  norm?: "own" | "frozen";
  /** Whether the streams between attention and feed-forward are rows, too. Default false. */
  middle?: boolean;
}

/** Options of `attributeLogits`. */
export interface AttributeLogitsOptions extends LogitMetric {
  /** Whether the parts are heads, or whole attentions. */
  by: "head" | "layer";
  /** Whether a head's value bias counts as `bias` instead of as the head's (TransformerLens's `fold_value_biases`). Default false. */
  foldValueBiases?: boolean;
}

/** Result of `attributeLogits`: the parts of a logit difference. They sum to `total`. */
export interface LogitAttribution {
  /** [N, H], with `by: "head"`. NaN for heads that were pruned. */
  readonly heads?: Tensor;
  /** [N], with `by: "layer"`: attention, with the bias of its output. */
  readonly attention?: Tensor;
  /** [N] */
  readonly feedForward: Tensor;
  /** The stream before the first layer: embeddings of tokens and positions. */
  readonly embedding: number;
  /** The biases: of the last norm and the language head; with `by: "head"` also of the attentions' outputs. */
  readonly bias: number;
  /** The model's logit difference, before `logitSoftcap` where there is one. */
  readonly total: number;
}

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
  /** The place, as in `Edit`. */
  at: Edit["at"];
  by: PatchBy;
  metric: Metric;
}

/** Options of `attributionPatch`, which needs a metric that has a gradient. */
export interface AttributionPatchOptions extends Omit<PatchOptions, "metric"> {
  metric: LogitMetric;
}

/** The metric of the corrupted run with one part as in the clean run, not normalised: [N, H], [N, L] or [N, L, H]. NaN of heads that were pruned. */
export interface PatchMap extends Tensor {
  /** The metric of the clean run, and of the corrupted one. */
  readonly clean: number;
  readonly corrupted: number;
}

/** An estimate of how much the metric of the corrupted run changes by each patch; shapes as in `PatchMap`. */
export interface AttributionMap extends Tensor {
  /** The metric of the corrupted run. */
  readonly corrupted: number;
}

/** What a head reads with: a head for `"query"`, a key/value head for `"key"` and `"value"`, by its index in `Edit`. */
export interface Receiver {
  layer: number;
  head: number;
  at: "query" | "key" | "value";
}

/** Options of `pathPatch`. */
export interface PathPatchOptions {
  /** Where the paths end. */
  to: "logits" | readonly Receiver[];
  metric: Metric;
  /** Whether the feed-forwards, too, stay as in the corrupted run. Default false: paths may go through them. */
  freezeFeedForward?: boolean;
}

/** Batches to measure on: tokens and the token to predict at each; without targets it is the next one. */
export type Batches = readonly (Tokens | (Pick<Batch, "tokens"> & Partial<Batch>))[];

/** Analyses of whole models. Maps of heads have the columns of the first model's heads; those that were pruned are NaN. docs/heads.md has the formulas and sources. */
export interface Analyses<Model> {
  /**
   * The logits that the residual stream before each layer, and after the last one, gives through the last norm and the language head:
   * [N + 1, B, positions, V] (nostalgebraist 2020). With `middle` [2 N + 1, …].
   */
  logitLens(model: Model, tokens: Tokens, options?: LogitLensOptions & AnalysisOptions): Promise<Tensor>;
  /**
   * Direct logit attribution: how much each head (or attention), feed-forward, the embedding and the biases add to a logit difference,
   * with the divisors of the norms on the way as they are in this pass (Elhage et al. 2021). The parts sum to the difference.
   */
  attributeLogits(
    model: Model,
    tokens: Tokens,
    options: AttributeLogitsOptions & AnalysisOptions,
  ): Promise<LogitAttribution>;
  /**
   * The loss, or a metric, with the output of one head replaced at all tokens, for each head: [N, H]. One forward pass per head and batch.
   */
  ablateHeads(model: Model, batches: Batches, options: AblateHeadsOptions & AnalysisOptions): Promise<HeadAblation>;
  /**
   * Activation patching: the metric of the corrupted run when one part of it is as in the clean run (Vig et al. 2020; Meng et al. 2022).
   * Both runs have the same number of tokens. One forward pass for each element of the map.
   */
  patch(model: Model, clean: Tokens, corrupted: Tokens, options: PatchOptions & AnalysisOptions): Promise<PatchMap>;
  /** Attribution patching: `patch` less `corrupted`, estimated by the gradient at the corrupted run (Nanda 2023). Two passes forward, one with its way back. */
  attributionPatch(
    model: Model,
    clean: Tokens,
    corrupted: Tokens,
    options: AttributionPatchOptions & AnalysisOptions,
  ): Promise<AttributionMap>;
  /**
   * Path patching: the metric when each head gives what it gives in the clean run to some heads (or the logits) alone, directly; all
   * heads between them are as in the corrupted run (Wang et al. 2022): [N, H] by sending head. Two forward passes per head.
   */
  pathPatch(
    model: Model,
    clean: Tokens,
    corrupted: Tokens,
    options: PathPatchOptions & AnalysisOptions,
  ): Promise<PatchMap>;
}
