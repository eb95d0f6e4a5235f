/** The public types of `headwise/worker`: the surface of `Headwise` with promises. */
import type { Bytes, Tensor, TensorLike, Tokens, Watchable } from "../base/types.js";
import type { Info, LoadOptions, MemoryUse } from "../runtime/types.js";
import type {
  AnalyzeHeadsOptions,
  AttentionOptions,
  AttentionResult,
  AttentionReturn,
  HeadStatistics,
  RotaryEmbeddingOptions,
} from "../attention/types.js";
import type {
  AdamWOptions,
  BackwardOptions,
  ForwardOptions,
  ForwardResult,
  ForwardReturn,
  InputGradients,
  MultiHeadAttentionConfig,
  Parameters,
  ResolvedConfig,
  StepResult,
} from "../module/types.js";
import type {
  Batch,
  Capture,
  Evaluation,
  GenerateOptions,
  ResolvedTransformerConfig,
  SaveOptions,
  TransformerConfig,
  TransformerResult,
} from "../transformer/types.js";
import type {
  HeadImportance,
  HeadImportanceOptions,
  ImportanceSource,
  PruneOptions,
  PruneResult,
} from "../heads/types.js";

/** Options of `load` in `headwise/worker`. */
export interface WorkerLoadOptions extends LoadOptions {
  /** The worker that is to compute, for pages that must make it themselves from `headwise/worker-host`. */
  worker?: Worker | (() => Worker);
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
  generate(prompt: Tokens, options: GenerateOptions & Abortable): AsyncGenerator<number, void, void>;
  /** A layer's module, live. It is disposed of with the model; its own `dispose()` does nothing to it. */
  attention(layer: number, options?: Abortable): Promise<WorkerMultiHeadAttention>;
  parameters(options?: Abortable): Promise<Parameters>;
  setParameters(parameters: Readonly<Record<string, TensorLike>>, options?: Abortable): Promise<void>;
  gradients(options?: Abortable): Promise<Parameters>;
  zeroGradients(options?: Abortable): Promise<void>;
  prune(heads: Readonly<Record<number, readonly number[]>>, options?: Abortable): Promise<WorkerTransformer>;
  save(options?: SaveOptions & Abortable): Promise<Bytes>;
  /** Frees the model's memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `AdamW` in `headwise/worker`. */
export interface WorkerAdamW {
  getSteps(options?: Abortable): Promise<number>;
  getSkippedSteps(options?: Abortable): Promise<number>;
  step(modules: readonly (WorkerMultiHeadAttention | WorkerTransformer)[], options?: Abortable): Promise<StepResult>;
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
