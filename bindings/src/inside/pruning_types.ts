/** The public types of what finds heads to prune. */
import type { HeadImportance } from "../heads/types.js";

/** Options of `shapleyValues`. */
export interface ShapleyOptions {
  /** Number of random orders of the heads, at least 2. Default 20. The standard errors fall with its square root. */
  permutations?: number;
  /** Seed of the orders: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** Result of `shapleyValues`, in the model's current order. */
export interface ShapleyValues {
  /** How much loss each head saves, in nats. The sum over all heads is `lossWithout` − `loss`. */
  readonly importance: HeadImportance;
  /** Standard error of each importance, over the orders. */
  readonly standardErrors: HeadImportance;
  /** Loss of the model. */
  readonly loss: number;
  /** Its loss without any head. */
  readonly lossWithout: number;
}

/** Options of `learnGates`. */
export interface LearnGatesOptions {
  /** λ, in nats for each head that is expected to be open: larger ones close more heads. Default 0.01. */
  penalty?: number;
  /** Steps of Adam, each with one batch; batches repeat from the first. Default 200. */
  steps?: number;
  /** Learning rate of Adam. Default 0.1. */
  learningRate?: number;
  /** Seed of the noise of the gates: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** Result of `learnGates`, in the model's current order. */
export interface LearnedGates {
  /** Probability that the gate is not 0. */
  readonly importance: HeadImportance;
  /** The gates without noise, 0 … 1: factors of the model's own gates. */
  readonly gates: HeadImportance;
  /** Loss of the model with its gates times these. */
  readonly loss: number;
}
