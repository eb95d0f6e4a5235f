/** The public types of head importance and pruning. */
import type { AdamWOptions } from "../module/types.js";
import type { Batch, Transformer } from "../transformer/types.js";

/**
 * How the importance of a head is measured. `"gradient"`: mean over sequences of |∂ loss / ∂ gate| (Michel et al. 2019).
 * `"gradient-entropy"`: mean of the same times the entropy of the head's attention (after HIES, Choi et al. 2025).
 * `"confidence"`: mean of the largest attention weight of a query (Voita et al. 2019). `"norm"`: mean L2 norm of what the head adds to the
 * residual stream. `"leave-one-out"`: increase of the loss without the head. `"random"`: random numbers, as a baseline.
 */
export type ImportanceMethod = "gradient" | "gradient-entropy" | "confidence" | "norm" | "leave-one-out" | "random";

/** One number per layer and head, in the order of the model. Larger numbers are more important. */
export type HeadImportance = readonly (readonly number[])[];

/** Options of `Headwise.headImportance`. */
export interface HeadImportanceOptions {
  /** How importance is measured. */
  method: ImportanceMethod;
  /** `"layer"`: divides the numbers of each layer by their L2 norm, as Michel et al. do. Default `"none"`. */
  normalize?: "layer" | "none";
  /** Seed of `"random"`: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** How `Headwise.pruneByImportance` measures importance itself. */
export interface ImportanceSource extends HeadImportanceOptions {
  /** The batches to measure on. */
  batches: readonly Batch[];
}

/** Training after each pruning step, each time with a new AdamW optimizer. */
export interface FineTune {
  /** Options of the optimizer. */
  optimizer: AdamWOptions;
  /** Number of training steps after each pruning step. */
  steps: number;
  /** Batches to train on, one per training step, repeated from the first. Default: the batches that importance is measured on. */
  batches?: readonly Batch[];
}

/** Options of `Headwise.pruneByImportance`; exactly one of `fraction`, `count` and `maxLossIncrease` is given. */
export interface PruneOptions<FineTuning = FineTune> {
  /** Share of the model's heads to remove, 0 … 1, rounded down to a number of heads. Refused if `keepOnePerLayer` does not allow so many. */
  fraction?: number;
  /** Number of heads to remove. Refused if `keepOnePerLayer` does not allow so many. */
  count?: number;
  /** Removes heads while loss <= (1 + maxLossIncrease) · loss before, measured on `batches`. The step that exceeds it is undone. 0.01 is 1 %. */
  maxLossIncrease?: number;
  /** Batches to measure the loss and the time on. Default: the batches that importance is measured on. A model that does not predict tokens has a time alone. */
  batches?: readonly Batch[];
  /** Whether each layer keeps its last head. Default true. */
  keepOnePerLayer?: boolean;
  /** Number of heads to remove in each step; then importance is measured again. Default: importance is measured once, and all heads are removed in one step, or one per step with `maxLossIncrease`. */
  reestimate?: number;
  /** Trains the smaller model after each step. In `headwise` it may also be a function that trains it. */
  fineTune?: FineTuning;
}

/** Loss, size and speed of a model, as measured. */
export interface ModelCost {
  /** Mean loss over the targets of `batches`; absent without batches, and if the model does not predict tokens. */
  readonly loss?: number;
  /** Number of parameters. */
  readonly parameters: number;
  /** WebAssembly memory of the model in bytes, without gradients and activations. Measured on a copy. */
  readonly bytes: number;
  /** Time of one `forward` on the first batch (without batches: on contextLength tokens, or one image). The minimum of 20 samples, in which both models alternate. */
  readonly milliseconds: number;
}

/** A head, by its indices in the given model. */
export interface RemovedHead {
  /** Index of the layer in the model as given. */
  readonly layer: number;
  /** Index of the head in its layer, in the model as given. */
  readonly head: number;
}

/** Result of `Headwise.pruneByImportance`. */
export interface PruneResult<Model = Transformer> {
  /** The smaller model. Dispose of it when you no longer need it. */
  readonly model: Model;
  /** The removed heads, in the order of removal. */
  readonly removed: readonly RemovedHead[];
  /** The given model. */
  readonly before: ModelCost;
  /** The smaller model. */
  readonly after: ModelCost;
  /** The heads that each step removed, and the loss after it (after fine-tuning). */
  readonly steps: readonly { readonly removed: readonly RemovedHead[]; readonly loss?: number }[];
}
