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
