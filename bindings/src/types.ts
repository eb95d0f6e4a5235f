/**
 * The public types of Headwise. Dimension letters, the same everywhere: B batch, H query heads, G key/value heads, L
 * query length, S key length (past and new), P past length, D head width, Dv value head width, E model width. All
 * tensors are float32 and row-major.
 */
import type { AdamW, AdamWOptions, Batch, Transformer, TransformerConfig } from "./transformer_types.js";
import type {
  AnalyzeHeadsOptions,
  FineTune,
  HeadImportance,
  HeadImportanceOptions,
  HeadStatistics,
  ImportanceSource,
  PruneOptions,
  PruneResult,
} from "./pruning_types.js";
import type { Watchable } from "./worker_types.js";

export type * from "./pruning_types.js";
export type * from "./transformer_types.js";
export type * from "./worker_types.js";

declare global {
  interface SymbolConstructor {
    /** As the library "esnext.disposable" declares it, for programs that are compiled without. */
    readonly dispose: unique symbol;
  }
}

/** A dense tensor that JavaScript owns: `data.length` is the product of `shape`. */
export interface Tensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** What every call accepts as a tensor: ours, or one with `dims` such as ONNX Runtime's and transformers.js's. */
export type TensorLike =
  | { readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly data: unknown; readonly dims: readonly number[] };

/**
 * A mask, broadcast as in NumPy (right-aligned) to [B, H, L, S]: rank 3 is [H or 1, L, S], a key-padding mask is
 * [B, 1, 1, S]. A last axis of 2 … S − 1 masks the keys beyond it. Floats are added to the scores (`-Infinity` masks); in
 * integer arrays 0 masks and anything else attends.
 */
export interface Mask {
  readonly data: Float32Array | Uint8Array | Int32Array | BigInt64Array;
  readonly shape: readonly number[];
}

/** Where the WebAssembly files are, and how much of the machine to use. */
export interface LoadOptions {
  /** Threads that compute, the calling one included: 1–64, or `"auto"` (default): min(cores, 8) where threads can be had. */
  threads?: number | "auto";
  /** Instruction set of the binary: `"auto"` (default) takes relaxed SIMD where it can be had. */
  simd?: "auto" | "relaxed" | "simd128";
  /** The folder that holds the four `.wasm` files, or a function from file name to source. Default: beside the package's code. */
  wasm?: string | URL | ((file: string) => string | URL | BufferSource | WebAssembly.Module);
}

/** Options of `load` in `headwise/worker`. */
export interface WorkerLoadOptions extends LoadOptions {
  /** The worker that is to compute, for pages that must make it themselves from `headwise/worker-host`. */
  worker?: Worker | (() => Worker);
}

/** What `load` chose. */
export interface Info {
  /** Version of the package. */
  readonly version: string;
  readonly simd: "relaxed" | "simd128";
  readonly threads: number;
  /** Why it is this binary and this number of threads, in words to act on. */
  readonly reason: string;
}

/** Memory of one instance. */
export interface MemoryUse {
  /** Bytes that Headwise holds now: parameters, and buffers kept from call to call. */
  readonly usedBytes: number;
  /** Size of the WebAssembly memory: it grows, up to 4 GiB, and never shrinks. */
  readonly capacityBytes: number;
  /** Modules, caches and models that are alive (made and not yet disposed), and what optimizers and generators hold. */
  readonly liveObjects: number;
}

/** Which keys queries may attend to. All kinds of masking combine; a query that sees no key gives zeros. */
export interface VisibilityOptions {
  mask?: Mask;
  /** Key j is visible to query i if and only if j <= i + offset. Default false. */
  causal?: boolean;
  /** Key j is visible to query i if and only if i + offset - left <= j <= i + offset + right: integers >= 0; a side left out is unbounded. */
  window?: { left?: number; right?: number };
  /** Where query 0 stands among the keys, in all batch rows or in each ([B]); may be negative. Default: the past length, else 0. */
  offset?: number | Int32Array;
  /** [B]: how many leading keys of each batch row are valid, past ones included; the rest is masked. Default: all S. */
  keyLengths?: Int32Array;
}

/** What the weights of a query are taken from: the scores scale · q · k; the same after the softcap; after the mask, with -Infinity where masked; after the softmax. */
export type WeightsStage = "scores" | "capped" | "masked" | "probabilities";

/** Keys and values of heads, [B, G, length, D] and [B, G, length, Dv]. */
export interface KeysAndValues<T extends TensorLike = TensorLike> {
  readonly key: T;
  readonly value: T;
}

/** What `Headwise.attention` may return beside its output. */
export interface AttentionReturn {
  /** Each head's attention weights, before the gate, at the stage named: [B, H, L, S] (rank 2: [L, S]). */
  weights?: WeightsStage;
  /** Past and new keys and values, one behind the other: the `past` of a next call. */
  present?: boolean;
}

/** Options of `Headwise.attention`. */
export interface AttentionOptions<Return extends AttentionReturn = AttentionReturn> extends VisibilityOptions {
  /** H. Required for rank 3 (`[B, L, H*D]`), refused for ranks 2 and 4, where the shapes say it. */
  numHeads?: number;
  /** G, which divides H: query head h reads key/value head floor(h * G / H). For rank 3 alone. Default H. */
  numKvHeads?: number;
  /** Earlier keys and values, [B, G, P, D] and [B, G, P, Dv] at every rank (B = G = 1 at rank 2), before the new ones: S = P + new keys. */
  past?: KeysAndValues;
  /** Factor of the scores: finite and >= 0. Default 1 / sqrt(D). */
  scale?: number;
  /** Scores x become softcap * tanh(x / softcap), before the mask: finite and >= 0. Default 0: they stay. */
  softcap?: number;
  /** [H]: multiplies each head's output. A gate of 0 skips the head's work. */
  headGates?: Float32Array;
  return?: Return;
}

/** Result of `Headwise.attention`. */
export type AttentionResult<Return extends AttentionReturn = AttentionReturn> = {
  /** Same rank as the query: [L, Dv], [B, L, H*Dv] or [B, H, L, Dv]. */
  readonly output: Tensor;
  /** [B, H, L, S], for rank 2 [L, S]; only where `return.weights` asked for it. */
  readonly weights?: Tensor;
  /** [B, G, S, D] and [B, G, S, Dv]; only where `return.present` asked for it. */
  readonly present?: KeysAndValues<Tensor>;
} & Asked<Return, "weights"> &
  (Return extends { present: true } ? { readonly present: KeysAndValues<Tensor> } : unknown);

/** How a rotary position embedding turns pairs of a head's numbers: pair k by position · base^(−2k / dim). */
export interface RopeConfig {
  /** > 0. Default 10000. */
  base?: number;
  /** Leading numbers of each head that turn: even, at most D; the rest stays. Default D. */
  dim?: number;
  /** Whether pairs are neighbours (2k, 2k + 1), or else halves (k, k + dim / 2). Default false. */
  interleaved?: boolean;
}

/** Options of `Headwise.rotaryEmbedding`. */
export interface RotaryEmbeddingOptions extends RopeConfig {
  /** H. Required for rank 3 (`[B, L, H*D]`), refused for rank 4, where the shape says it. */
  numHeads?: number;
  /** [B, L]: the position of each token; with `cos` and `sin`, their row. Default 0 … L − 1. */
  positions?: Int32Array;
  /** Cosines and sines in the place of `base`: [maxPosition, dim / 2] with `positions`, [B, L, dim / 2] without. */
  cos?: TensorLike;
  sin?: TensorLike;
}

/** Configuration of `Headwise.multiHeadAttention`. */
export interface MultiHeadAttentionConfig {
  /** E, width of the query input. */
  embedDim: number;
  /** H. */
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
  /** Linear biases −slope_h · |i + offset − j| (ALiBi, Press et al. 2022), slope_h = 2^(−8(h+1)/H), for H not a power of two by the published rule. Default false. */
  alibi?: boolean;
  /** Seed of the Xavier-uniform initialisation: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** A configuration with every default filled in; `headGroups` and `rope` are there where they apply. */
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

/** A result that is there because it was asked for. */
export type Asked<Return, Name extends string> =
  Return extends Record<Name, string> ? { readonly [name in Name]: Tensor } : unknown;

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

/** An instance of the library: one WebAssembly memory and one pool of threads. Make one with `load`. */
export interface Headwise {
  readonly info: Info;
  memory(): MemoryUse;
  /**
   * Scaled dot-product attention: softmax(scale · Q Kᵀ + mask) V for each head (Vaswani et al. 2017; ONNX `Attention`).
   * Ranks: 2 [L, D], one head; 3 [B, L, H*D] with `numHeads`; 4 [B, H, L, D], key and value [B, G, S, …]. Lengths may be
   * 0. A fully masked row gives zeros.
   */
  attention<R extends AttentionReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: AttentionOptions<R>,
  ): AttentionResult<R>;
  /**
   * Rotary position embedding (Su et al. 2021; ONNX `RotaryEmbedding`) of x: rank 3 [B, L, H*D] with `numHeads`, or 4
   * [B, H, L, D]. The result has the shape of x.
   */
  rotaryEmbedding(x: TensorLike, options?: RotaryEmbeddingOptions): Tensor;
  /** Statistics of each head from attention probabilities [B, H, L, S], [H, L, S] or [L, S]. */
  analyzeHeads(weights: TensorLike, options?: AnalyzeHeadsOptions): HeadStatistics[];
  /** A module with seeded Xavier-uniform weights and zero biases. */
  multiHeadAttention(config: MultiHeadAttentionConfig): MultiHeadAttention;
  /** A transformer with freshly initialised parameters. */
  transformer(config: TransformerConfig): Transformer;
  /** The model that `Transformer.save` has written. Throws `invalid-file` for anything else. */
  loadTransformer(bytes: ArrayBuffer | Uint8Array): Transformer;
  /** An optimizer. It remembers two floats for each parameter that it has changed, until it or the module is disposed. */
  adamW(options: AdamWOptions): AdamW;
  /** How much each head matters, by a method of your choice; measured on a copy without dropout. docs/heads.md has the definitions. */
  headImportance(
    model: Transformer,
    batches: readonly Batch[],
    options: HeadImportanceOptions & Watchable,
  ): HeadImportance;
  /**
   * A new model without the heads that matter least, by numbers or by what is measured on batches; and what it costs
   * beside the one that was given, which stays.
   */
  pruneByImportance(
    model: Transformer,
    importance: HeadImportance | ImportanceSource,
    options: PruneOptions<FineTune | ((model: Transformer) => void)> & Watchable,
  ): PruneResult;
  /** Ends every thread and frees all memory, modules included. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
