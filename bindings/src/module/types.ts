/** The public types of the multi-head attention module and of its optimizer. */
import type { Asked, Tensor, TensorLike } from "../base/types.js";
import type { RopeConfig, VisibilityOptions, WeightsStage } from "../attention/types.js";

/** Configuration of `Headwise.multiHeadAttention`. */
export interface MultiHeadAttentionConfig {
  /** E, width of the query input. */
  embedDim: number;
  /** H. 0, with `headDim`, makes a module without heads, whose output is the output bias. */
  numHeads: number;
  /** G, key/value heads, which must divide H: query head h reads key/value head floor(h * G / H). Default H. */
  numKvHeads?: number;
  /** [H]: the key/value head that each head reads, ascending from 0 without gaps, where groups are uneven (as after pruning). */
  headGroups?: readonly number[];
  /** D, width of a query and key head. Default E / H, which must then divide. */
  headDim?: number;
  /** Dv, width of a value head. Default D. */
  valueHeadDim?: number;
  /** Width of the key input (PyTorch's `kdim`). Default E. */
  keyDim?: number;
  /** Width of the value input (PyTorch's `vdim`). Default `keyDim`. */
  valueDim?: number;
  /** Width of the output. Default E. */
  outputDim?: number;
  /** `true` (default): all four projections have a bias; `"qkv"`: all but the output projection; `false`: none. */
  bias?: boolean | "qkv";
  /** Factor of the scores: finite and >= 0. Default 1 / sqrt(D). */
  scale?: number;
  /** Scores become softcap · tanh(scores / softcap), before the mask: finite and >= 0; 0 (default): they stay. */
  softcap?: number;
  /** Rotary position embedding of queries and keys (Su et al. 2021). Default: none. */
  rope?: RopeConfig;
  /**
   * Linear biases −slope_h · |i + offset − j| (ALiBi, Press et al. 2022). `true`: slope_h = 2^(−8(h+1)/H), for H not a
   * power of two by the published rule; an array [H]: these slopes, rounded to float32. Default false.
   */
  alibi?: boolean | readonly number[];
  /** Seed of the Xavier-uniform initialisation: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/**
 * A configuration with every default filled in; `headGroups` and `rope` are there where they apply. A module's has its
 * slopes as `alibi`: with the module's parameters and gates, it makes the module anew.
 */
export type ResolvedConfig = Required<Omit<MultiHeadAttentionConfig, "headGroups" | "rope">> & {
  headGroups?: readonly number[];
  rope?: Required<RopeConfig>;
};

/** Keys and values of the tokens that a module has seen, so that each new token costs one row. Make one with `MultiHeadAttention.cache`. */
export interface KvCache {
  /** Tokens that a batch row can hold. */
  readonly capacity: number;
  /** Copy of the number of tokens of each batch row, [B]. */
  readonly length: Int32Array;
  /** Forgets all tokens. */
  reset(): void;
  /** Frees the memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** What `MultiHeadAttention.forward` may return beside its output. */
export interface ForwardReturn {
  /** Each head's attention weights [B, H, L, S], before the gate, or the scores that they come from, at a stage of their way. */
  weights?: WeightsStage;
  /** Each head's own output, before the gate: `"values"` [B, H, L, Dv]; or what it adds to the module's output, gated and through its slice of the output projection: `"contributions"` [B, H, L, outputDim]. */
  heads?: "values" | "contributions";
}

/** Options of `MultiHeadAttention.forward`. */
export interface ForwardOptions<
  Return extends ForwardReturn = ForwardReturn,
  Cache = KvCache,
> extends VisibilityOptions {
  /** Self-attention only: the new keys and values are put behind those of the cache, and all are attended to. `offset` is then each row's length, and `keyLengths` counts the valid new tokens alone. S is the longest row. A row beyond the capacity is refused with `invalid-option`, and nothing changes. */
  cache?: Cache;
  /** [B, L], for `rope`: positions of the queries, and in self-attention of the keys. Default: offset + i for queries, j for keys. */
  positions?: Int32Array;
  /** Keeps what `backward` needs, and skips no head. Not with `cache`. Default false. */
  train?: boolean;
  /** With `train`: share of the attention weights that is left out, 0 <= rate < 1; the others are multiplied by 1 / (1 − rate). `return.weights` are those before. Default 0. */
  dropout?: number;
  /** With `train`, of the dropout: an integer, 0 … 2^32 − 1. Default: how many train forwards of this module there were before. */
  seed?: number;
  return?: Return;
}

/** Options of `MultiHeadAttention.backward`. */
export interface BackwardOptions {
  /** Gradient of the attention probabilities, before dropout: [B, H, L, S]. Default: zeros. */
  gradWeights?: TensorLike;
}

/** Gradients of the inputs: each the part through its own projection. Of an input that is query, key and value, the gradient is the sum. */
export interface InputGradients {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Result of `MultiHeadAttention.forward`; without the batch axis where the query had none. */
export type ForwardResult<Return extends ForwardReturn = ForwardReturn> = {
  /** [B, L, outputDim]. */
  readonly output: Tensor;
  /** [B, H, L, S]. */
  readonly weights?: Tensor;
  /** [B, H, L, Dv] or [B, H, L, outputDim]. */
  readonly heads?: Tensor;
} & Asked<Return, "weights"> &
  Asked<Return, "heads">;

/** Parameters by name: `q_proj.weight` [H*D, E], `k_proj.weight` [G*D, keyDim], `v_proj.weight` [G*Dv, valueDim], `out_proj.weight` [outputDim, H*Dv], and their `.bias`. */
export type Parameters = Record<string, Tensor>;

/** Multi-head attention with its own parameters (Vaswani et al. 2017, section 3.2.2). Make one with `Headwise.multiHeadAttention`. */
export interface MultiHeadAttention {
  readonly config: ResolvedConfig;
  readonly numHeads: number;
  /** Count of the scalars in `parameters()`. */
  readonly parameterCount: number;
  /** Indices, in the first module of the line of prunings, of the heads that are left. */
  readonly keptHeads: readonly number[];
  /** Copy of the gates [H]; 1 each at first. */
  readonly headGates: Float32Array;
  /** Sets the gates [H]: each multiplies its head's output; a gate of 0 skips the head's work. */
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
   * Adds to `gradients()` those of a loss whose gradient by the output of the last forward with `train` is `gradOutput`
   * [B, L, outputDim], and returns those of its inputs. Once for each such forward, and before parameters or gates are set.
   */
  backward(gradOutput: TensorLike, options?: BackwardOptions): InputGradients;
  /** Copies of the gradients, named as in `parameters()`, and `head_gates` [H]: sums since the module was made or they were zeroed. */
  gradients(): Parameters;
  zeroGradients(): void;
  /** Copies of all parameters. */
  parameters(): Parameters;
  /** Replaces the parameters given, all or nothing: unknown names and other shapes are refused and nothing changes. */
  setParameters(parameters: Readonly<Record<string, TensorLike>>): void;
  /**
   * A new, smaller module without those heads (this module's indices); this one lives on. Gates, ALiBi slopes and
   * key/value heads follow the heads that are left; a key/value head goes with its last head.
   */
  prune(heads: readonly number[]): MultiHeadAttention;
  /** Room for the keys and values of `capacity` tokens in each of `batch` rows, for this module alone. */
  cache(options: { batch: number; capacity: number }): KvCache;
  /** Frees the module's memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** Options of `Headwise.adamW`. */
export interface AdamWOptions {
  /** Learning rate, >= 0. */
  lr: number;
  /** Decay of the running means of gradients and of their squares, 0 <= beta < 1. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Added to the root of the mean square: > 0. Default 1e-8. */
  eps?: number;
  /** Matrices shrink by lr · weightDecay of themselves in each step; biases and norms do not. >= 0. Default 0.01. */
  weightDecay?: number;
  /** > 0: gradients whose norm, over all modules, is larger are scaled down to it. Default: none are. */
  clipNorm?: number;
  /** The learning rate grows in a straight line over so many steps. Default 0. */
  warmupSteps?: number;
  /** After the warm-up it falls along half a cosine, to 0 after so many steps in all. Default: it stays. */
  totalSteps?: number;
}

/** What an optimizer can change: a `MultiHeadAttention` or a `Transformer`. */
export interface Trainable {
  parameters(): Parameters;
  gradients(): Parameters;
  zeroGradients(): void;
}

/** Result of `AdamW.step`. */
export interface StepResult {
  /** L2 norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Of this step. */
  readonly learningRate: number;
  /** Whether the step changed nothing, because the gradient norm is NaN, infinite, or after clipping above 1.8e19, whose square is no float32. */
  readonly skipped: boolean;
}

/** The optimizer AdamW (Loshchilov & Hutter 2019). Make one with `Headwise.adamW`. */
export interface AdamW {
  /** Steps so far, without those that were skipped. */
  readonly steps: number;
  /** Steps that were skipped so far, those of `Transformer.trainStep` included. */
  readonly skippedSteps: number;
  /**
   * Changes the modules' parameters by their gradients, which stay as they are; gates stay too. A step with a gradient norm
   * that is not finite is skipped: parameters, moments and `steps` stay as they were.
   */
  step(modules: readonly Trainable[]): StepResult;
  /** Frees the memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
