/** The public types of `headwise`. */
import type { Tensor, TensorLike, Watchable } from "./base/types.js";
import type { Info, MemoryUse } from "./runtime/types.js";
import type {
  AnalyzeHeadsOptions,
  AttentionOptions,
  AttentionResult,
  AttentionReturn,
  HeadStatistics,
  RotaryEmbeddingOptions,
} from "./attention/types.js";
import type { AdamW, AdamWOptions, MultiHeadAttention, MultiHeadAttentionConfig } from "./module/types.js";
import type { FilesOptions, ModelSource } from "./files/types.js";
import type { OpenedModel, OpenModelOptions } from "./models/opened_types.js";
import type { Analyses } from "./inside/types.js";
import type { Batch, Transformer, TransformerConfig } from "./transformer/types.js";
import type {
  FineTune,
  HeadImportance,
  HeadImportanceOptions,
  ImportanceSource,
  PruneOptions,
  PruneResult,
} from "./heads/types.js";

export type * from "./base/types.js";
export type * from "./files/types.js";
export type * from "./runtime/types.js";
export type * from "./attention/types.js";
export type * from "./module/types.js";
export type * from "./transformer/types.js";
export type * from "./heads/types.js";
export type * from "./models/types.js";
export type * from "./models/opened_types.js";
export type { ImageLike } from "./models/pixels.js";
export type * from "./models/tokenizer_types.js";
export type * from "./inside/types.js";

/** An instance of the library, made by `load`: one WebAssembly memory and one pool of threads. */
export interface Headwise extends Analyses<Transformer | OpenedModel> {
  /** The binary and the threads that `load` chose, and why. */
  readonly info: Info;
  /** Memory in use now. */
  memory(): MemoryUse;
  /**
   * Scaled dot-product attention: softmax(scale · Q Kᵀ + mask) V for each head (Vaswani et al. 2017; ONNX `Attention`).
   * Ranks: 2 [L, D], one head; 3 [B, L, H*D], with `numHeads`; 4 [B, H, L, D], with key [B, G, S, D] and value [B, G, S, Dv].
   * B, L and S may be 0. The output of a query that sees no key is zeros.
   */
  attention<R extends AttentionReturn = {}>(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    options?: AttentionOptions<R>,
  ): AttentionResult<R>;
  /**
   * Rotary position embedding (Su et al. 2021; ONNX `RotaryEmbedding`) of x: rank 3 [B, L, H*D], with `numHeads`, or rank 4
   * [B, H, L, D]. The result has the shape of x.
   */
  rotaryEmbedding(x: TensorLike, options?: RotaryEmbeddingOptions): Tensor;
  /** Statistics of each head, computed from attention probabilities [B, H, L, S], [H, L, S] or [L, S]. One result per head. */
  analyzeHeads(weights: TensorLike, options?: AnalyzeHeadsOptions): HeadStatistics[];
  /** Makes a multi-head attention module with Xavier-uniform weights from a seed and zero biases. */
  multiHeadAttention(config: MultiHeadAttentionConfig): MultiHeadAttention;
  /** Makes a transformer with parameters initialised from a seed. */
  transformer(config: TransformerConfig): Transformer;
  /** Makes a transformer from the bytes that `Transformer.save` returned. Throws `invalid-file` for other files. */
  loadTransformer(bytes: ArrayBuffer | Uint8Array): Transformer;
  /** Makes an AdamW optimizer. It stores two floats for each parameter that it has updated, until it or the module is disposed. */
  adamW(options: AdamWOptions): AdamW;
  /** Measures how much each head matters to a transformer. Dropout is off, and the model is unchanged. Definitions: docs/heads.md. */
  headImportance(
    model: Transformer | OpenedModel,
    batches: readonly Batch[],
    options: HeadImportanceOptions & Watchable,
  ): HeadImportance;
  /**
   * Makes a smaller transformer without the least important heads, and measures loss, size and time of both models. `importance`
   * is numbers from `headImportance`, or a method and batches to measure it with. The given model is unchanged.
   */
  pruneByImportance<Model extends Transformer | OpenedModel>(
    model: Model,
    importance: HeadImportance | ImportanceSource,
    options: PruneOptions<FineTune | ((model: Model) => void)> & Watchable,
  ): PruneResult<Model>;
  /**
   * Opens a published model from its files as they are: configuration, then tensors one at a time, so that no more memory is taken
   * than for the model and its largest tensor. Throws `invalid-file` for files that are broken or missing, `unsupported` for
   * a family, an option or a tensor that is not known, naming it; then nothing is left.
   */
  openModel(source: ModelSource, options?: OpenModelOptions): Promise<OpenedModel>;
  /** Whether `openModel` needs no network. */
  isCached(source: ModelSource, options?: Pick<FilesOptions, "cache">): Promise<boolean>;
  /** Deletes a model from the cache, or all models. */
  clearCache(source?: ModelSource, options?: Pick<FilesOptions, "cache">): Promise<void>;
  /** Ends all threads and frees all memory, including that of modules and models. Idempotent. Any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
