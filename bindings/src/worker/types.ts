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
  /** As `KvCache.capacity`. */
  readonly capacity: number;
  /** As `KvCache.length`. */
  getLength(options?: Abortable): Promise<Int32Array>;
  /** As `KvCache.reset`. */
  reset(options?: Abortable): Promise<void>;
  /** Frees the memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `MultiHeadAttention` in `headwise/worker`: the same, with promises. Values that never change are plain properties. */
export interface WorkerMultiHeadAttention {
  /** As `MultiHeadAttention.config`. */
  readonly config: ResolvedConfig;
  /** As `MultiHeadAttention.numHeads`. */
  readonly numHeads: number;
  /** As `MultiHeadAttention.parameterCount`. */
  readonly parameterCount: number;
  /** As `MultiHeadAttention.keptHeads`. */
  readonly keptHeads: readonly number[];
  /** As `MultiHeadAttention.headGates`. */
  getHeadGates(options?: Abortable): Promise<Float32Array>;
  /** As `MultiHeadAttention.setHeadGates`. */
  setHeadGates(gates: Float32Array, options?: Abortable): Promise<void>;
  /** As `MultiHeadAttention.forward`. */
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    options?: ForwardOptions<R, WorkerKvCache> & Abortable,
  ): Promise<ForwardResult<R>>;
  /** As `MultiHeadAttention.forward`. */
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    memory: TensorLike,
    options?: ForwardOptions<R, WorkerKvCache> & Abortable,
  ): Promise<ForwardResult<R>>;
  /** As `MultiHeadAttention.forward`. */
  forward<R extends ForwardReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: ForwardOptions<R, WorkerKvCache> & Abortable,
  ): Promise<ForwardResult<R>>;
  /** As `MultiHeadAttention.backward`. */
  backward(gradOutput: TensorLike, options?: BackwardOptions & Abortable): Promise<InputGradients>;
  /** As `MultiHeadAttention.gradients`. */
  gradients(options?: Abortable): Promise<Parameters>;
  /** As `MultiHeadAttention.zeroGradients`. */
  zeroGradients(options?: Abortable): Promise<void>;
  /** As `MultiHeadAttention.parameters`. */
  parameters(options?: Abortable): Promise<Parameters>;
  /** As `MultiHeadAttention.setParameters`. */
  setParameters(parameters: Readonly<Record<string, TensorLike>>, options?: Abortable): Promise<void>;
  /** As `MultiHeadAttention.prune`. */
  prune(heads: readonly number[], options?: Abortable): Promise<WorkerMultiHeadAttention>;
  /** As `MultiHeadAttention.cache`. */
  cache(options: { batch: number; capacity: number } & Abortable): Promise<WorkerKvCache>;
  /** Frees the module's memory in the worker. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** `Transformer` in `headwise/worker`: the same, with promises. Values that never change are plain properties. */
export interface WorkerTransformer {
  /** As `Transformer.config`. */
  readonly config: ResolvedTransformerConfig;
  /** As `Transformer.parameterCount`. */
  readonly parameterCount: number;
  /** As `Transformer.forward`. */
  forward(input: ModelInput, options?: TransformerOptions & Abortable): Promise<TransformerResult>;
  /** As `Transformer.accumulateGradients`. */
  accumulateGradients(input: ModelInput, targets: Tokens, options?: InputOptions & Abortable): Promise<number>;
  /** As `Transformer.trainStep`. */
  trainStep(
    input: ModelInput,
    targets: Tokens,
    optimizer: WorkerAdamW,
    options?: InputOptions & Abortable,
  ): Promise<number>;
  /** As `Transformer.evaluate`. */
  evaluate(input: ModelInput, targets: Tokens, options?: InputOptions & Abortable): Promise<Evaluation>;
  /** As `Transformer.generate`. */
  generate(prompt: Tokens, options: GenerateOptions & Abortable): AsyncGenerator<number, void, void>;
  /** The attention module of a layer. It is disposed with the model; its own `dispose()` does not affect the model. */
  attention(layer: number, options?: Abortable): Promise<WorkerMultiHeadAttention>;
  /** As `Transformer.parameters`. */
  parameters(options?: Abortable): Promise<Parameters>;
  /** As `Transformer.setParameters`. */
  setParameters(parameters: Readonly<Record<string, TensorLike>>, options?: Abortable): Promise<void>;
  /** As `Transformer.gradients`. */
  gradients(options?: Abortable): Promise<Parameters>;
  /** As `Transformer.zeroGradients`. */
  zeroGradients(options?: Abortable): Promise<void>;
  /** As `Transformer.prune`. */
  prune(heads: Readonly<Record<number, readonly number[]>>, options?: Abortable): Promise<WorkerTransformer>;
  /** As `Transformer.convert`. */
  convert(options: ConvertOptions & Abortable): Promise<WorkerTransformer>;
  /** As `Transformer.groupHeads`. */
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<WorkerTransformer>;
  /** As `Transformer.save`. */
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
  /** As `OpenedModel.forward`. */
  forward(input: OpenedModelInput, options?: TransformerOptions & Abortable): Promise<TransformerResult>;
  /** As `OpenedModel.embed`. */
  embed(texts: EmbedInput, options?: EmbedOptions & Abortable): Promise<Tensor>;
  /** As `OpenedModel.generate`. */
  generate(prompt: string, options: GenerateOptions & Abortable): AsyncGenerator<GeneratedText, void, void>;
  /** As `OpenedModel.generate`. */
  generate(prompt: Tokens, options: GenerateOptions & Abortable): AsyncGenerator<number, void, void>;
  /** As `OpenedModel.prune`. */
  prune(heads: Readonly<Record<number, readonly number[]>>, options?: Abortable): Promise<WorkerOpenedModel>;
  /** As `OpenedModel.convert`. */
  convert(options: ConvertOptions & Abortable): Promise<WorkerOpenedModel>;
  /** As `OpenedModel.groupHeads`. */
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<WorkerOpenedModel>;
  /** As `OpenedModel.save`. */
  save(options?: SaveModelOptions & Abortable): Promise<SavedModel>;
}

/** `AdamW` in `headwise/worker`: the same, with promises. */
export interface WorkerAdamW {
  /** As `AdamW.steps`. */
  getSteps(options?: Abortable): Promise<number>;
  /** As `AdamW.skippedSteps`. */
  getSkippedSteps(options?: Abortable): Promise<number>;
  /** As `AdamW.step`. */
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
  /** As `Headwise.info`. */
  readonly info: Info;
  /** As `Headwise.memory`. */
  memory(options?: Abortable): Promise<MemoryUse>;
  /** As `Headwise.attention`. */
  attention<R extends AttentionReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: AttentionOptions<R> & Abortable,
  ): Promise<AttentionResult<R>>;
  /** As `Headwise.rotaryEmbedding`. */
  rotaryEmbedding(x: TensorLike, options?: RotaryEmbeddingOptions & Abortable): Promise<Tensor>;
  /** As `Headwise.analyzeHeads`. */
  analyzeHeads(weights: TensorLike, options?: AnalyzeHeadsOptions & Abortable): Promise<HeadStatistics[]>;
  /** As `Headwise.multiHeadAttention`. */
  multiHeadAttention(config: MultiHeadAttentionConfig & Abortable): Promise<WorkerMultiHeadAttention>;
  /** As `Headwise.transformer`. */
  transformer(config: TransformerConfig & Abortable): Promise<WorkerTransformer>;
  /** As `Headwise.loadTransformer`. */
  loadTransformer(bytes: ArrayBuffer | Uint8Array, options?: Abortable): Promise<WorkerTransformer>;
  /** As `Headwise.adamW`. */
  adamW(options: AdamWOptions & Abortable): Promise<WorkerAdamW>;
  /** As `Headwise.headImportance`. */
  headImportance(
    model: WorkerTransformer | WorkerOpenedModel,
    batches: readonly Batch[],
    options: HeadImportanceOptions & Watchable & Abortable,
  ): Promise<HeadImportance>;
  /** As `Headwise.pruneByImportance`. */
  pruneByImportance<Model extends WorkerTransformer | WorkerOpenedModel>(
    model: Model,
    importance: HeadImportance | ImportanceSource,
    options: PruneOptions & Watchable & Abortable,
  ): Promise<PruneResult<Model>>;
  /** As `Headwise.openModel`. */
  openModel(source: ModelSource, options?: OpenModelOptions): Promise<WorkerOpenedModel>;
  /** As `Headwise.isCached`. */
  isCached(source: ModelSource, options?: Pick<FilesOptions, "cache">): Promise<boolean>;
  /** As `Headwise.clearCache`. */
  clearCache(source?: ModelSource, options?: Pick<FilesOptions, "cache">): Promise<void>;
  /** Ends the worker and every thread at once; pending calls reject with `disposed`. Idempotent. */
  dispose(): Promise<void>;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
