/** The public types of analyses of attention weights and of parameters. */
import type { Tensor, TensorLike, Tokens } from "../base/types.js";

/** Options of `detectHeads`. */
export interface DetectHeadsOptions {
  /**
   * Which key each query is to attend to: the previous token; earlier tokens that are the same; the tokens that follow these; or weights
   * [L, L] by query and key.
   */
  pattern: "previous" | "duplicate" | "induction" | TensorLike;
  /** `"mul"`: the share of all weights that are in the pattern. `"abs"`: 1 less the mean distance of a query's weights from it. Default `"mul"`. */
  error?: "mul" | "abs";
  /** The text: one sequence or several, whose scores are averaged. Default: random tokens. */
  tokens?: Tokens;
  /**
   * Random tokens: `batch` sequences of `length` different tokens, twice, after the token `first`. Default: 4 sequences of 50, as far as
   * the context allows, after none.
   */
  random?: { length?: number; batch?: number; first?: number; seed?: number };
  /** Whether weights on the first token count as 0. Default false. */
  excludeBos?: boolean;
  /** Whether weights of each token on itself count as 0. Default false. */
  excludeCurrentToken?: boolean;
  /** Whether the distance of `"abs"` is rounded to three decimals, as TransformerLens does. Default false. */
  rounded?: boolean;
}

/** What a head reads another head's output with. */
export type Composition = "Q" | "K" | "V";

/** Options of `composeHeads`. */
export interface CircuitOptions {
  /**
   * Whether the weights of the norms belong to the matrices that read and write the residual stream, which are centred with layer
   * norm: TransformerLens's `fold_ln`, `center_writing_weights` and `center_unembed`. It leaves norms of queries and keys and norms
   * behind the attention as they are, and so does `"before"`. Default true.
   */
  foldNorms?: boolean | "before";
}

/** Options of `headCircuit`. */
export interface HeadCircuitOptions extends CircuitOptions {
  /** Number of token pairs. Default 10. */
  pairs?: number;
}

/** Two tokens, and the entry of a circuit between them. */
export interface TokenPair {
  /** Token that is read. */
  readonly from: number;
  /** Token that is attended to (QK) or written (OV). */
  readonly to: number;
  /** Entry of the circuit for this pair. */
  readonly value: number;
}

/** Result of `headCircuit`. */
export interface HeadCircuit {
  /** `[D]`: singular values of W_Q W_Kᵀ or W_V W_O, the largest first. */
  readonly singularValues: Tensor;
  /** `[D, 2]`: real and imaginary parts of the eigenvalues between tokens, the largest first; all others of [V, V] are 0. */
  readonly eigenvalues: Tensor;
  /** Σ Re λ / Σ |λ| of the eigenvalues, −1 … 1: of `"OV"`, how much the head writes what it reads. */
  readonly copying: number;
  /** The strongest pairs: query and key token, or token that is read and token whose logit it raises. */
  readonly pairs: readonly TokenPair[];
}

/** Options of `rollout`. */
export interface RolloutOptions {
  /** The share of the residual stream in each layer. Default 0.5. */
  residual?: number;
}

/** A head, by its indices in the first model. */
export interface HeadIndex {
  /** Index of the layer. */
  readonly layer: number;
  /** Index of the head in its layer. */
  readonly head: number;
}

/** Options of `clusterHeads`. */
export interface ClusterHeadsOptions {
  /** Number of groups; at most that of heads. Default 8. */
  clusters?: number;
}

/** Result of `clusterHeads`. Numbers of heads are indices of `heads`. */
export interface HeadClusters {
  /** The heads, in the order of the distances. */
  readonly heads: readonly HeadIndex[];
  /** Between all heads: [heads, heads], 0 … log 2. */
  readonly distances: Tensor;
  /** All heads, so that similar ones are neighbours: the leaves of the tree. */
  readonly order: readonly number[];
  /** Groups of heads that attend alike: indices into `heads`. */
  readonly clusters: readonly (readonly number[])[];
}
