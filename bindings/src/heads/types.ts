/** The public types of head importance and pruning. */
import type { AdamWOptions } from "../module/types.js";
import type { Batch, Transformer } from "../transformer/types.js";

/**
 * What a head's importance is taken from: `"gradient"`, the mean over sequences of |∂ loss / ∂ gate| (Michel et al. 2019);
 * `"confidence"`, its mean maximum weight (Voita et al. 2019); `"norm"`, the mean L2 norm of what it adds to the stream;
 * `"leave-one-out"`, how much the loss grows without it; `"random"`, numbers from a seed, the baseline.
 */
export type ImportanceMethod = "gradient" | "confidence" | "norm" | "leave-one-out" | "random";

/** By layer and head, in the order of the model: the larger, the more important. */
export type HeadImportance = readonly (readonly number[])[];

/** Options of `Headwise.headImportance`. */
export interface HeadImportanceOptions {
  method: ImportanceMethod;
  /** `"layer"`: each layer's numbers are divided by their L2 norm, as Michel et al. do. Default `"none"`. */
  normalize?: "layer" | "none";
  /** Of `"random"`: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** Importance that `Headwise.pruneByImportance` measures itself. */
export interface ImportanceSource extends HeadImportanceOptions {
  batches: readonly Batch[];
}

/** Training between pruning steps, with an optimizer that starts anew at each. */
export interface FineTune {
  optimizer: AdamWOptions;
  /** Training steps after each pruning step. */
  steps: number;
  /** What to train on, one batch a step and then from the first again. Default: the batches that importance is measured on. */
  batches?: readonly Batch[];
}

/** Options of `Headwise.pruneByImportance`; exactly one of `fraction`, `count` and `maxLossIncrease` is given. */
export interface PruneOptions<FineTuning = FineTune> {
  /** Of the model's heads, 0 … 1; rounded down to a number of heads. More than `keepOnePerLayer` leaves are refused. */
  fraction?: number;
  /** Heads to remove. More than `keepOnePerLayer` leaves are refused. */
  count?: number;
  /** Heads are removed for as long as the loss on `batches` is at most 1 + this times what it was; a step that goes beyond is taken back. 0.01: 1 %. */
  maxLossIncrease?: number;
  /** What the loss is measured on. Default: the batches that importance is measured on. */
  batches?: readonly Batch[];
  /** Whether each layer keeps its last head. Default true. */
  keepOnePerLayer?: boolean;
  /** Heads to remove before importance is measured anew. Default: it is measured once, and all heads go in one step, or with `maxLossIncrease` one a step. */
  reestimate?: number;
  /** Trains the smaller model after each step; in `headwise` also a function that does. */
  fineTune?: FineTuning;
}

/** What there is to know of a model's size and speed. */
export interface ModelCost {
  /** Mean loss of the targets of `batches`, where there are any. */
  readonly loss?: number;
  readonly parameters: number;
  /** Bytes of WebAssembly memory that the model takes without gradients and activations, as measured on a copy. */
  readonly bytes: number;
  /** Of one `forward` of the first batch (without batches, of contextLength tokens): the least of 20 samples, both models by turns. */
  readonly milliseconds: number;
}

/** A head of the model that was given. */
export interface RemovedHead {
  readonly layer: number;
  readonly head: number;
}

/** Result of `Headwise.pruneByImportance`. */
export interface PruneResult<Model = Transformer> {
  /** A new model, yours to dispose of. */
  readonly model: Model;
  /** In the order in which they went. */
  readonly removed: readonly RemovedHead[];
  readonly before: ModelCost;
  readonly after: ModelCost;
  /** The heads that each step removed, and the loss then, after fine-tuning. */
  readonly steps: readonly { readonly removed: readonly RemovedHead[]; readonly loss?: number }[];
}
