/** The public types of metrics, and of analyses of logits. */
import type { Tensor } from "../base/types.js";

/** A token of the vocabulary (or the text of one token, where the model has a tokenizer), or one for each row of the batch. */
export type Answer = number | string | readonly (number | string)[];

/**
 * A logit difference: the logit of `answer` less that of `against`, of the row's own token where there is an array [B]; the mean over the
 * rows. Without `against` it is the logit of `answer`.
 */
export interface LogitMetric {
  /** The token whose logit counts. */
  readonly answer: Answer;
  /** The token whose logit is subtracted. Default: none. */
  readonly against?: Answer;
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
