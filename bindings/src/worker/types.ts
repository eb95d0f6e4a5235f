/** The public types of `headwise/worker`: those of `headwise`, with promises. */
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
import type { FilesOptions, ModelSource } from "../files/types.js";
import type {
  EmbedInput,
  EmbedOptions,
  GeneratedText,
  ModelFacts,
  ModelReaders,
  OpenedModelInput,
  OpenModelOptions,
  SavedModel,
  SaveModelOptions,
} from "../models/opened_types.js";
import type {
  Batch,
  ConvertOptions,
  Evaluation,
  GenerateOptions,
  GroupHeadsOptions,
  InputOptions,
  ModelInput,
  ResolvedTransformerConfig,
  SaveOptions,
  TransformerConfig,
  TransformerOptions,
  TransformerResult,
} from "../transformer/types.js";
import type {
  HeadImportance,
  HeadImportanceOptions,
  ImportanceSource,
  PruneOptions,
  PruneResult,
} from "../heads/types.js";

import type { Analyses } from "../inside/types.js";

/** Options of `load` in `headwise/worker`. */
export interface WorkerLoadOptions extends LoadOptions {
  /** The worker that computes, or a function that makes it, for pages that must start it themselves. Its script imports `headwise/worker-host`. */
  worker?: Worker | (() => Worker);
}

/**
 * Option of every call of `headwise/worker`: a signal that cancels it. The promise then rejects with code `aborted`, and caches are as
 * before the call. A call that has already begun may still change parameters, gradients and optimizers (`trainStep`, `step`, …).
 */
export interface Abortable {
  /** Cancels the call when it aborts. */
  signal?: AbortSignal;
}

/** `KvCache` in `headwise/worker`: the same, with promises. */
export interface WorkerKvCache {
  readonly capacity: number;
  getLength(options?: Abortable): Promise<Int32Array>;
  reset(options?: Abortable): Promise<void>;
  /** Frees the memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `MultiHeadAttention` in `headwise/worker`: the same, with promises. Values that never change are plain properties. */
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

/** `Transformer` in `headwise/worker`: the same, with promises. Values that never change are plain properties. */
export interface WorkerTransformer {
  readonly config: ResolvedTransformerConfig;
  readonly parameterCount: number;
  forward(input: ModelInput, options?: TransformerOptions & Abortable): Promise<TransformerResult>;
  accumulateGradients(input: ModelInput, targets: Tokens, options?: InputOptions & Abortable): Promise<number>;
  trainStep(
    input: ModelInput,
    targets: Tokens,
    optimizer: WorkerAdamW,
    options?: InputOptions & Abortable,
  ): Promise<number>;
  evaluate(input: ModelInput, targets: Tokens, options?: InputOptions & Abortable): Promise<Evaluation>;
  generate(prompt: Tokens, options: GenerateOptions & Abortable): AsyncGenerator<number, void, void>;
  /** The attention module of a layer. It is disposed with the model; its own `dispose()` does not affect the model. */
  attention(layer: number, options?: Abortable): Promise<WorkerMultiHeadAttention>;
  parameters(options?: Abortable): Promise<Parameters>;
  setParameters(parameters: Readonly<Record<string, TensorLike>>, options?: Abortable): Promise<void>;
  gradients(options?: Abortable): Promise<Parameters>;
  zeroGradients(options?: Abortable): Promise<void>;
  prune(heads: Readonly<Record<number, readonly number[]>>, options?: Abortable): Promise<WorkerTransformer>;
  convert(options: ConvertOptions & Abortable): Promise<WorkerTransformer>;
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<WorkerTransformer>;
  save(options?: SaveOptions & Abortable): Promise<Bytes>;
  /** Frees the model's memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `OpenedModel` in `headwise/worker`: the same, with promises. Text becomes tokens, and tokens text, on the calling thread. */
export interface WorkerOpenedModel
  extends
    Omit<WorkerTransformer, "forward" | "generate" | "prune" | "convert" | "groupHeads" | "save">,
    ModelFacts,
    ModelReaders {
  forward(input: OpenedModelInput, options?: TransformerOptions & Abortable): Promise<TransformerResult>;
  embed(texts: EmbedInput, options?: EmbedOptions & Abortable): Promise<Tensor>;
  generate(prompt: string, options: GenerateOptions & Abortable): AsyncGenerator<GeneratedText, void, void>;
  generate(prompt: Tokens, options: GenerateOptions & Abortable): AsyncGenerator<number, void, void>;
  prune(heads: Readonly<Record<number, readonly number[]>>, options?: Abortable): Promise<WorkerOpenedModel>;
  convert(options: ConvertOptions & Abortable): Promise<WorkerOpenedModel>;
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<WorkerOpenedModel>;
  save(options?: SaveModelOptions & Abortable): Promise<SavedModel>;
}

/** `AdamW` in `headwise/worker`: the same, with promises. */
export interface WorkerAdamW {
  getSteps(options?: Abortable): Promise<number>;
  getSkippedSteps(options?: Abortable): Promise<number>;
  step(
    modules: readonly (WorkerMultiHeadAttention | WorkerTransformer | WorkerOpenedModel)[],
    options?: Abortable,
  ): Promise<StepResult>;
  /** Frees the memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `Headwise` in `headwise/worker`: the same, with promises. Calls run in a worker, in the order of the calls. Inputs are copied. */
export interface WorkerHeadwise extends Analyses<WorkerTransformer | WorkerOpenedModel> {
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
    model: WorkerTransformer | WorkerOpenedModel,
    batches: readonly Batch[],
    options: HeadImportanceOptions & Watchable & Abortable,
  ): Promise<HeadImportance>;
  pruneByImportance<Model extends WorkerTransformer | WorkerOpenedModel>(
    model: Model,
    importance: HeadImportance | ImportanceSource,
    options: PruneOptions & Watchable & Abortable,
  ): Promise<PruneResult<Model>>;
  openModel(source: ModelSource, options?: OpenModelOptions): Promise<WorkerOpenedModel>;
  isCached(source: ModelSource, options?: Pick<FilesOptions, "cache">): Promise<boolean>;
  clearCache(source?: ModelSource, options?: Pick<FilesOptions, "cache">): Promise<void>;
  /** Ends the worker and every thread at once; pending calls reject with `disposed`. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
