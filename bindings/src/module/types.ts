/** The public types of the multi-head attention module and of the optimizer. */
import type { Asked, Tensor, TensorLike } from "../base/types.js";
import type { ResolvedRope, RopeConfig, VisibilityOptions, WeightsStage } from "../attention/types.js";

/** Configuration of `Headwise.multiHeadAttention`. */
export interface MultiHeadAttentionConfig {
  /** E: width of the query input. */
  embedDim: number;
  /** H: number of heads. With `headDim`, 0 is allowed: a module without heads, whose output is the output bias. */
  numHeads: number;
  /** G: number of key/value heads, a divisor of H. Query head h reads key/value head floor(h * G / H). Default H. */
  numKvHeads?: number;
  /** `[H]`: the key/value head that each query head reads, ascending from 0 without gaps. For groups of unequal size, as pruning leaves them. */
  headGroups?: readonly number[];
  /** D: width of a query or key head. Default E / H; then H must divide E. */
  headDim?: number;
  /** Dv: width of a value head. Default D. */
  valueHeadDim?: number;
  /** Width of the key input (PyTorch's `kdim`). Default E. */
  keyDim?: number;
  /** Width of the value input (PyTorch's `vdim`). Default `keyDim`. */
  valueDim?: number;
  /** Width of the output. Default E. */
  outputDim?: number;
  /** Which projections have a bias: `true` (default), all four; `"qkv"`, query, key and value; `"out"`, the output projection; `false`, none. */
  bias?: boolean | "qkv" | "out";
  /** Factor of the scores: finite and >= 0. Default 1 / sqrt(D). */
  scale?: number;
  /** Replaces each score x with softcap · tanh(x / softcap), before the mask: finite and >= 0. Default 0: no softcap. */
  softcap?: number;
  /** Rotary position embedding of queries and keys (Su et al. 2021). Default: none. */
  rope?: RopeConfig;
  /** RMS norm of each head's queries and keys, before the rotary embedding (Dehghani et al. 2023; Qwen 3). Default false. */
  queryKeyNorm?: boolean;
  /** ε of the norms of `queryKeyNorm`: > 0. Default 1e-6. */
  normEpsilon?: number;
  /**
   * ALiBi (Press et al. 2022): adds −slope_h · |i + offset − j| to the scores. `true`: slope_h = 2^(−8(h+1)/H); if H is not a power
   * of two, the published rule for that case. An array [H]: these slopes, rounded to float32. Default false.
   */
  alibi?: boolean | readonly number[];
  /** Seed of the Xavier-uniform initialisation: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
  /** Number format of the matrices in memory. Default `"f32"`. */
  dtype?: Dtype;
}

/**
 * Number format of matrices in memory; activations, norms, biases and tables of positions are float32. `"bf16"`: half of float32's
 * memory, exact for numbers that come as BF16. `"int8"`: a quarter; symmetric, with a scale for each output (Dettmers et al. 2022,
 * vector-wise). Only `"f32"` has gradients of weights.
 */
export type Dtype = "f32" | "bf16" | "int8";

/**
 * A configuration with every default filled in. `headGroups` and `rope` are present only if the module has them. `alibi` is `false`
 * or the slopes of the module's heads. A module can be rebuilt from its `config`, `parameters()` and `headGates`.
 */
export type ResolvedConfig = Required<Omit<MultiHeadAttentionConfig, "headGroups" | "rope">> & {
  headGroups?: readonly number[];
  rope?: ResolvedRope;
};

/** A key/value cache, made by `MultiHeadAttention.cache`: keys and values of earlier tokens, so that only the new tokens are computed. */
export interface KvCache {
  /** Largest number of tokens in a batch row. */
  readonly capacity: number;
  /** `[B]`: the number of tokens in each batch row. A copy. */
  readonly length: Int32Array;
  /** Removes all tokens: every length becomes 0. */
  reset(): void;
  /** Frees the memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** What `MultiHeadAttention.forward` returns in addition to its output. */
export interface ForwardReturn {
  /** Attention weights of each head at this stage, before the gates: [B, H, L, S]. */
  weights?: WeightsStage;
  /**
   * `"values"`: the output of each head before its gate, [B, H, L, Dv]. `"contributions"`: what each head adds to the module's output,
   * its gated output times its slice of the output projection, [B, H, L, outputDim].
   */
  heads?: "values" | "contributions";
}

/** Options of `MultiHeadAttention.forward`. */
export interface ForwardOptions<
  Return extends ForwardReturn = ForwardReturn,
  Cache = KvCache,
> extends VisibilityOptions {
  /**
   * A cache of this module, for self-attention only. The new keys and values are appended to it, and the queries attend to all of them.
   * `offset` may not be given: it is the length of each row. `keyLengths` is the number of valid new tokens of each row. S is the length
   * of the longest row. Throws `invalid-option` and changes nothing if a row would exceed the capacity.
   */
  cache?: Cache;
  /** [B, L], for a module with `rope`: positions of the queries, and in self-attention also of the keys. Default: offset + i for query i, j for key j. */
  positions?: Int32Array;
  /** Whether to keep what `backward` needs. Heads with gate 0 are then computed too. Not with `cache`. Default false. */
  train?: boolean;
  /** With `train`: probability that an attention probability is set to 0, 0 <= dropout < 1; the others are multiplied by 1 / (1 − dropout). `return.weights` are the weights before dropout. Default 0. */
  dropout?: number;
  /** With `train`: seed of the dropout mask, an integer from 0 to 2^32 − 1. Default: the number of earlier calls with `train`, so that each call draws a new mask. */
  seed?: number;
  /** What to return besides the output. Default: nothing. */
  return?: Return;
}

/** Options of `MultiHeadAttention.backward`. */
export interface BackwardOptions {
  /** Gradient of the loss with respect to the attention probabilities before dropout: [B, H, L, S]. Default: zeros. */
  gradWeights?: TensorLike;
}

/** Gradients of the inputs, each through its own projection. In self-attention the gradient of the input is the sum of the three. */
export interface InputGradients {
  /** Gradient of the query input, in its shape. */
  readonly query: Tensor;
  /** Gradient of the key input, in its shape. */
  readonly key: Tensor;
  /** Gradient of the value input, in its shape. */
  readonly value: Tensor;
}

/** Result of `MultiHeadAttention.forward`. If the query has no batch axis, neither have the results. */
export type ForwardResult<Return extends ForwardReturn = ForwardReturn> = {
  /** [B, L, outputDim]. */
  readonly output: Tensor;
  /** [B, H, L, S]. Only if `return.weights` was given. */
  readonly weights?: Tensor;
  /** [B, H, L, Dv] or [B, H, L, outputDim]. Only if `return.heads` was given. */
  readonly heads?: Tensor;
} & Asked<Return, "weights"> &
  Asked<Return, "heads">;

/** Parameters by name: `q_proj.weight` [H*D, E], `k_proj.weight` [G*D, keyDim], `v_proj.weight` [G*Dv, valueDim], `out_proj.weight` [outputDim, H*Dv], and their `.bias`; with `queryKeyNorm` `q_norm.weight` and `k_norm.weight` [D]. */
export type Parameters = Record<string, Tensor>;

/** A multi-head attention module with its parameters (Vaswani et al. 2017, section 3.2.2), made by `Headwise.multiHeadAttention`. */
export interface MultiHeadAttention {
  /** The configuration, with every default filled in. */
  readonly config: ResolvedConfig;
  /** H. */
  readonly numHeads: number;
  /** Number of scalars in `parameters()`. */
  readonly parameterCount: number;
  /** Indices of the remaining heads in the original module, before any pruning. */
  readonly keptHeads: readonly number[];
  /** `[H]`: the gates, initially 1. A copy. */
  readonly headGates: Float32Array;
  /** Sets the gates [H], the factors of the heads' outputs. A head with gate 0 is not computed. */
  setHeadGates(gates: Float32Array): void;
  /** Self-attention: query [B, L, E] or [L, E]. */
  forward<R extends ForwardReturn = {}>(query: TensorLike, options?: ForwardOptions<R>): ForwardResult<R>;
  /** Cross-attention with key = value = memory [B, S, keyDim]. */
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    memory: TensorLike,
    options?: ForwardOptions<R>,
  ): ForwardResult<R>;
  /** Cross-attention with key [B, S, keyDim] and value [B, S, valueDim]. */
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: ForwardOptions<R>,
  ): ForwardResult<R>;
  /**
   * Backpropagates through the last `forward` with `train`. `gradOutput` [B, L, outputDim] is the gradient of the loss with respect to
   * its output. Adds the gradients of parameters and gates to `gradients()` and returns those of the inputs. May be called once per
   * `forward` with `train`, and only before parameters or gates are changed; otherwise throws `invalid-option`.
   */
  backward(gradOutput: TensorLike, options?: BackwardOptions): InputGradients;
  /** Copies of the gradients, named as in `parameters()`, and of `head_gates` [H]. They accumulate until `zeroGradients`. */
  gradients(): Parameters;
  /** Sets all gradients to 0. */
  zeroGradients(): void;
  /** Copies of all parameters. */
  parameters(): Parameters;
  /** Replaces the given parameters. Throws and changes nothing if a name is unknown or a shape differs. */
  setParameters(parameters: Readonly<Record<string, TensorLike>>): void;
  /**
   * Makes a smaller module without the given heads (indices in this module). This module is unchanged. The remaining heads keep
   * their gates, ALiBi slopes and key/value heads. A key/value head that no head reads any more is removed too.
   */
  prune(heads: readonly number[]): MultiHeadAttention;
  /** Makes a key/value cache for this module: `batch` rows of up to `capacity` tokens. */
  cache(options: { batch: number; capacity: number }): KvCache;
  /** Frees the module's memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** Options of `Headwise.adamW`. */
export interface AdamWOptions {
  /** Learning rate: >= 0. */
  lr: number;
  /** Decay rates of the running means of the gradients and of their squares: 0 <= beta < 1. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** ε, added to the root of the mean square: > 0. Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay: each step multiplies matrices, but not biases and norms, by 1 − lr · weightDecay. >= 0. Default 0.01. */
  weightDecay?: number;
  /** Largest norm of the gradients of all modules together: > 0. Larger gradients are scaled down to it. Default: no clipping. */
  clipNorm?: number;
  /** Number of steps over which the learning rate grows linearly to `lr`. Default 0. */
  warmupSteps?: number;
  /** Number of steps, warm-up included, after which the learning rate is 0. It falls along half a cosine after the warm-up. Default: it stays constant. */
  totalSteps?: number;
}

/** A model that an optimizer can train: a `MultiHeadAttention` or a `Transformer`. */
export interface Trainable {
  /** Copies of the parameters by name. */
  parameters(): Parameters;
  /** Copies of the gradients by name. */
  gradients(): Parameters;
  /** Sets all gradients to 0. */
  zeroGradients(): void;
}

/** Result of `AdamW.step`. */
export interface StepResult {
  /** L2 norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Learning rate of this step. */
  readonly learningRate: number;
  /** Whether the step was skipped: the gradient norm is NaN or infinite, or above 1.8e19 after clipping, where its square overflows float32. */
  readonly skipped: boolean;
}

/** The optimizer AdamW (Loshchilov & Hutter 2019), made by `Headwise.adamW`. */
export interface AdamW {
  /** Number of steps so far, without skipped ones. */
  readonly steps: number;
  /** Number of skipped steps so far, including those of `Transformer.trainStep`. */
  readonly skippedSteps: number;
  /**
   * Updates the parameters of these modules from their gradients. Gradients and gates are unchanged. A step whose gradient norm is
   * not finite is skipped: it changes neither parameters nor moments nor `steps`.
   */
  step(modules: readonly Trainable[]): StepResult;
  /** Frees the memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
