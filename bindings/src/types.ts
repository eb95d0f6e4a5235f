/**
 * The public types of Headwise. Dimension letters, the same everywhere: B batch, H query heads, G key/value heads, L
 * query length, S key length (past and new), P past length, D head width, Dv value head width, E model width. All
 * tensors are float32 and row-major.
 */

import type {
  FineTune,
  HeadImportance,
  HeadImportanceOptions,
  ImportanceSource,
  PruneOptions,
  PruneResult,
} from "./pruning_types.js";

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
  /** Modules and caches that are alive (made and not yet disposed). */
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

/** Which keys the analysed weights could attend to, as in `AttentionOptions`, and what these are. */
export interface AnalyzeHeadsOptions extends VisibilityOptions {
  /** [B, S], or [S] for all batch rows: the tokens of the keys, for `duplicate` and `induction`. The token of query i is that of key i + offset. */
  tokens?: Int32Array;
}

/**
 * One head's statistics: means over the queries of all batch rows. Query i stands at place p = i + offset among the keys.
 * `first` to `induction` go over the queries that may attend to such a key, the others over those that may attend to
 * any; 0 where there is no such query. docs/heads.md says how these relate to what others measure.
 */
export interface HeadStatistics {
  /** Entropy of a query's weights divided by the logarithm of the number of keys it may attend to: 0 (one key) … 1 (uniform). Queries with a single allowed key are left out. */
  readonly entropy: number;
  /** Mean of |p − j|, weighted by the attention weights: in tokens. */
  readonly distance: number;
  /** The largest weight (Voita et al. 2019): 0 … 1. */
  readonly confidence: number;
  /** The weight on key 0. */
  readonly first: number;
  /** The weight on key p − 1. */
  readonly previous: number;
  /** The weight on key p + 1. */
  readonly next: number;
  /** The weight on key p. */
  readonly self: number;
  /** With `tokens`: the weight on all keys j < p that hold the same token as key p. */
  readonly duplicate?: number;
  /** With `tokens`: the weight on all keys j ≤ p that come right after an earlier key (j − 1 < p) with the same token as key p (Olsson et al. 2022). */
  readonly induction?: number;
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

/** Tokens: one sequence [L], or B of one length [B, L]. Integers from 0 to vocabSize − 1. */
export type Tokens = Int32Array | { readonly data: Int32Array; readonly shape: readonly number[] };

/** What to learn from, or to measure on. */
export interface Batch {
  readonly tokens: Tokens;
  /** What should follow each token: the shape of `tokens`; −1 where nothing should. */
  readonly targets: Tokens;
}

/** Configuration of `Headwise.transformer`. */
export interface TransformerConfig {
  /** V, tokens that there are. */
  vocabSize: number;
  /** C, the most tokens that a sequence may have. */
  contextLength: number;
  /** 1 … 1000. */
  layers: number;
  /** E, width of the stream that the layers add to. */
  embedDim: number;
  /** H, heads of each layer: 1 … 4096. */
  numHeads: number;
  /** G, as in `MultiHeadAttentionConfig`. Default H. */
  numKvHeads?: number;
  /** D. Default E / H, which must then divide. */
  headDim?: number;
  /** F, hidden width of the feed-forward layers; 0: there are none. Default 4 E. */
  feedForwardDim?: number;
  /** `"layer"` (default; Ba et al. 2016): with ε = 1e-5, and biases in all linear layers but the last; `"rms"` (Zhang & Sennrich 2019): with ε = 1e-6, and no biases at all. */
  norm?: "layer" | "rms";
  /** Of the feed-forward layers. `"gelu"` (default): the form with tanh (Hendrycks & Gimpel 2016); `"silu-gated"`: W_down (silu(W_gate x) ∘ W_up x) (Shazeer 2020). */
  activation?: "relu" | "gelu" | "silu-gated";
  /** How tokens know their places: `"learned"` vectors (default), `"sinusoidal"` ones (Vaswani et al. 2017, 3.4 and 3.5: embeddings are then multiplied by √E), or by attention: `"rotary"`, `"alibi"`, `"none"`. */
  positions?: "learned" | "rotary" | "sinusoidal" | "alibi" | "none";
  /** Whether a token sees none behind it. Default true. */
  causal?: boolean;
  /** Whether the logits are products with the embeddings, or with a matrix of their own. Default true. */
  tieEmbeddings?: boolean;
  /** 0 <= rate < 1: of attention weights, and of what each layer adds to the stream; in training alone. Default 0. */
  dropout?: number;
  /** Of the initialisation and of dropout: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
  /** The heads that each layer has, where some have been pruned: ascending indices of 0 … H − 1. Default all. */
  heads?: readonly (readonly number[])[];
}

/** A configuration with every default filled in. `heads`: of each layer, the indices in the first model of the heads that are left. */
export type ResolvedTransformerConfig = Readonly<Required<TransformerConfig>>;

/** What `Transformer.forward` may return of its layers. */
export interface Capture {
  /** Each head's attention weights [B, H, L, L], as in `ForwardReturn`. */
  weights?: WeightsStage;
  /** Each head's own output [B, H, L, D], or what it adds to the stream [B, H, L, E], as in `ForwardReturn`. */
  heads?: "values" | "contributions";
  /** Of which layers. Default all. */
  layers?: readonly number[];
}

/** Result of `Transformer.forward`; without the batch axis where the tokens had none. */
export interface TransformerResult {
  /** [B, L, V]. */
  readonly logits: Tensor;
  /** One object a layer of the model, empty where nothing was captured. */
  readonly layers: readonly { readonly weights?: Tensor; readonly heads?: Tensor }[];
}

/** Result of `Transformer.evaluate`. */
export interface Evaluation {
  /** Mean cross-entropy, in nats, of the targets that are not −1; 0 where all are. */
  readonly loss: number;
  /** The share of them that has the largest logit; 0 where there are none. */
  readonly accuracy: number;
  /** How many they are. */
  readonly count: number;
}

/** Options of `Transformer.generate`. */
export interface GenerateOptions {
  /** The most tokens to generate. */
  maxTokens: number;
  /** Logits are divided by it: finite and >= 0; 0 takes the likeliest. Default 1. */
  temperature?: number;
  /** Only the k likeliest tokens can come. Default: all. */
  topK?: number;
  /** Of the choice: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** Options of `Transformer.save`. */
export interface SaveOptions {
  /** Type in the file: F32 (default) is bit-exact. */
  dtype?: "F32" | "F16" | "BF16";
}

/** A transformer that predicts tokens: norms first, attention and feed-forward in turn. Make one with `Headwise.transformer`. */
export interface Transformer {
  readonly config: ResolvedTransformerConfig;
  /** Count of the scalars in `parameters()`. */
  readonly parameterCount: number;
  /** Logits of every token's successor, and what `capture` asks of the layers. */
  forward(tokens: Tokens, options?: { capture?: Capture }): TransformerResult;
  /** The loss, as in `evaluate` but with dropout; its gradients are added to those that there are. */
  accumulateGradients(tokens: Tokens, targets: Tokens): number;
  /** One step of learning: `zeroGradients`, `accumulateGradients`, `optimizer.step([this])`. Returns the loss before the step. */
  trainStep(tokens: Tokens, targets: Tokens, optimizer: AdamW): number;
  /** Loss and accuracy, without dropout. */
  evaluate(tokens: Tokens, targets: Tokens): Evaluation;
  /**
   * Generates tokens, one at a time, each from those before; causal models alone. Where the context is full, or the
   * prompt longer than it, it goes on from the last contextLength / 2 tokens. Parameters must not change meanwhile.
   */
  generate(prompt: Int32Array | readonly number[], options: GenerateOptions): Generator<number, void, void>;
  /**
   * A layer's module, live: it shares parameters, gates and gradients with the model. It is disposed of with the model;
   * its own `dispose()` does nothing. Each call returns the same one.
   */
  attention(layer: number): MultiHeadAttention;
  /**
   * Copies of all parameters: `embedding.weight` [V, E], `positions.weight` [C, E], `layers.N.norm1.weight` [E],
   * `layers.N.attention.q_proj.weight` …, `layers.N.norm2.weight`, `layers.N.feed_forward.up.weight` [F, E], `.gate.weight`,
   * `.down.weight` [E, F], `norm.weight`, `head.weight` [V, E] where embeddings are not tied, and their `.bias`.
   */
  parameters(): Parameters;
  /** Replaces the parameters given, all or nothing: unknown names and other shapes are refused and nothing changes. */
  setParameters(parameters: Readonly<Record<string, TensorLike>>): void;
  /** Copies of all gradients, zeros at first: by the names of `parameters()`, and `layers.N.attention.head_gates` [H]. */
  gradients(): Parameters;
  zeroGradients(): void;
  /**
   * A new, smaller model without those heads (of each layer, its current indices); this one lives on. A layer without
   * heads adds its output bias alone.
   */
  prune(heads: Readonly<Record<number, readonly number[]>>): Transformer;
  /** The model as a safetensors file, with configuration and head gates in its metadata. */
  save(options?: SaveOptions): Uint8Array<ArrayBuffer>;
  /** Frees the model's memory. Idempotent; any other use afterwards throws `disposed`. */
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

/** The optimizer AdamW (Loshchilov & Hutter 2019). Make one with `Headwise.adamW`. */
export interface AdamW {
  /** Steps so far. */
  readonly steps: number;
  /** Changes the modules' parameters by their gradients, which stay as they are; gates stay too. */
  step(modules: readonly (MultiHeadAttention | Transformer)[]): {
    /** Of all gradients together, before clipping. */
    gradientNorm: number;
    /** Of this step. */
    learningRate: number;
  };
  /** Frees the memory. Idempotent; any other use afterwards throws `disposed`. */
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

/** How far long work is: `done` of `total` steps. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Options of long work. */
export interface Watchable {
  /** Is called after each step. What it throws ends the work. */
  onProgress?: (progress: Progress) => void;
}

/**
 * Every call of `headwise/worker` may be cancelled: the promise rejects with code `aborted`. Caches are then as before; what
 * a call that has begun does to parameters, gradients and optimizers (`trainStep`, `step`, `backward`, …) it may do all the same.
 */
export interface Abortable {
  signal?: AbortSignal;
}

/** `KvCache` in `headwise/worker`. */
export interface WorkerKvCache {
  readonly capacity: number;
  getLength(options?: Abortable): Promise<Int32Array>;
  reset(options?: Abortable): Promise<void>;
  /** Frees the memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `MultiHeadAttention` in `headwise/worker`: the same, with promises; plain values stay plain. */
export interface WorkerMultiHeadAttention {
  readonly config: ResolvedConfig;
  readonly numHeads: number;
  readonly parameterCount: number;
  readonly keptHeads: readonly number[];
  getHeadGates(options?: Abortable): Promise<Float32Array>;
  setHeadGates(gates: Float32Array, options?: Abortable): Promise<void>;
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    options?: ForwardOptions<R, WorkerKvCache> & Abortable,
  ): Promise<ForwardResult<R>>;
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    memory: TensorLike,
    options?: ForwardOptions<R, WorkerKvCache> & Abortable,
  ): Promise<ForwardResult<R>>;
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: ForwardOptions<R, WorkerKvCache> & Abortable,
  ): Promise<ForwardResult<R>>;
  backward(gradOutput: TensorLike, options?: BackwardOptions & Abortable): Promise<InputGradients>;
  gradients(options?: Abortable): Promise<Parameters>;
  zeroGradients(options?: Abortable): Promise<void>;
  parameters(options?: Abortable): Promise<Parameters>;
  setParameters(parameters: Readonly<Record<string, TensorLike>>, options?: Abortable): Promise<void>;
  prune(heads: readonly number[], options?: Abortable): Promise<WorkerMultiHeadAttention>;
  cache(options: { batch: number; capacity: number } & Abortable): Promise<WorkerKvCache>;
  /** Frees the module's memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `Transformer` in `headwise/worker`: the same, with promises; plain values stay plain. */
export interface WorkerTransformer {
  readonly config: ResolvedTransformerConfig;
  readonly parameterCount: number;
  forward(tokens: Tokens, options?: { capture?: Capture } & Abortable): Promise<TransformerResult>;
  accumulateGradients(tokens: Tokens, targets: Tokens, options?: Abortable): Promise<number>;
  trainStep(tokens: Tokens, targets: Tokens, optimizer: WorkerAdamW, options?: Abortable): Promise<number>;
  evaluate(tokens: Tokens, targets: Tokens, options?: Abortable): Promise<Evaluation>;
  generate(
    prompt: Int32Array | readonly number[],
    options: GenerateOptions & Abortable,
  ): AsyncGenerator<number, void, void>;
  /** A layer's module, live. It is disposed of with the model; its own `dispose()` does nothing to it. */
  attention(layer: number, options?: Abortable): Promise<WorkerMultiHeadAttention>;
  parameters(options?: Abortable): Promise<Parameters>;
  setParameters(parameters: Readonly<Record<string, TensorLike>>, options?: Abortable): Promise<void>;
  gradients(options?: Abortable): Promise<Parameters>;
  zeroGradients(options?: Abortable): Promise<void>;
  prune(heads: Readonly<Record<number, readonly number[]>>, options?: Abortable): Promise<WorkerTransformer>;
  save(options?: SaveOptions & Abortable): Promise<Uint8Array<ArrayBuffer>>;
  /** Frees the model's memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `AdamW` in `headwise/worker`. */
export interface WorkerAdamW {
  getSteps(options?: Abortable): Promise<number>;
  step(
    modules: readonly (WorkerMultiHeadAttention | WorkerTransformer)[],
    options?: Abortable,
  ): Promise<{ gradientNorm: number; learningRate: number }>;
  /** Frees the memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `Headwise` in `headwise/worker`: methods run in call order, off the calling thread. Inputs are copied. */
export interface WorkerHeadwise {
  readonly info: Info;
  memory(options?: Abortable): Promise<MemoryUse>;
  attention<R extends AttentionReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: AttentionOptions<R> & Abortable,
  ): Promise<AttentionResult<R>>;
  rotaryEmbedding(x: TensorLike, options?: RotaryEmbeddingOptions & Abortable): Promise<Tensor>;
  analyzeHeads(weights: TensorLike, options?: AnalyzeHeadsOptions & Abortable): Promise<HeadStatistics[]>;
  multiHeadAttention(config: MultiHeadAttentionConfig & Abortable): Promise<WorkerMultiHeadAttention>;
  transformer(config: TransformerConfig & Abortable): Promise<WorkerTransformer>;
  loadTransformer(bytes: ArrayBuffer | Uint8Array, options?: Abortable): Promise<WorkerTransformer>;
  adamW(options: AdamWOptions & Abortable): Promise<WorkerAdamW>;
  headImportance(
    model: WorkerTransformer,
    batches: readonly Batch[],
    options: HeadImportanceOptions & Watchable & Abortable,
  ): Promise<HeadImportance>;
  pruneByImportance(
    model: WorkerTransformer,
    importance: HeadImportance | ImportanceSource,
    options: PruneOptions & Watchable & Abortable,
  ): Promise<PruneResult<WorkerTransformer>>;
  /** Ends the worker and every thread at once; pending calls reject with `disposed`. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
