/** The public types of transformers. */
import type { Bytes, TensorLike, Tokens, Watchable } from "../base/types.js";
import type { AdamW, Dtype, MultiHeadAttention, Parameters } from "../module/types.js";
import type { ResolvedTransformerConfig } from "./config_types.js";
import type { Edit, InputOptions, ModelInput, TransformerOptions, TransformerResult } from "./forward_types.js";

export type * from "./config_types.js";
export type * from "./forward_types.js";

/** Sequences to train on or to measure with. */
export interface Batch {
  /** [L] or [B, L]. */
  readonly tokens: Tokens;
  /** The token to predict at each position, in the shape of `tokens`. A target of −1 is ignored. */
  readonly targets: Tokens;
}

/** Result of `Transformer.evaluate`. */
export interface Evaluation {
  /** Mean cross-entropy in nats over the targets that are not −1; 0 if there are none. */
  readonly loss: number;
  /** Share of these targets that have the largest logit; 0 if there are none. */
  readonly accuracy: number;
  /** Number of these targets. */
  readonly count: number;
}

/** Options of `Transformer.generate`. */
export interface GenerateOptions {
  /** Number of tokens to generate. */
  maxTokens: number;
  /** The logits are divided by it: finite and >= 0. 0 takes the most likely token. Default 1. */
  temperature?: number;
  /** Samples only from the k most likely tokens. Default: all. */
  topK?: number;
  /** Only the likeliest tokens can come, as few as have this share of the probability: above 0 and up to 1. Default 1: all. */
  topP?: number;
  /** Tokens that end the text; they are not generated themselves. Default: none; of opened models their `stopTokens`. */
  stop?: readonly number[];
  /** Seed of the sampling: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
  /** Changes on the way, at the tokens of the prompt and of the generated text; tensors have the extent 1 along tokens. Default: none. */
  edits?: readonly Edit[];
}

/** Options of `Transformer.convert`. */
export interface ConvertOptions {
  /** Number format of the copy's matrices. */
  dtype: Dtype;
}

/** Options of `Transformer.groupHeads`. */
export interface GroupHeadsOptions extends Watchable {
  /**
   * `"mean"` (default): the mean of the key/value heads of a group (Ainslie et al. 2023). `"procrustes"`: each head is turned first, without
   * a change of what the model computes, so that the heads of a group agree as well as they can (Jin et al. 2025).
   */
  method?: "mean" | "procrustes";
  /** Stops the work (code `aborted`). */
  signal?: AbortSignal;
}

/** Options of `Transformer.save`. */
export interface SaveOptions {
  /**
   * Element type in the file: F32 (default) is bit-exact. I8 writes each matrix as int8 and its scales as the F32 tensor
   * `<name>_scale`, [outputs]; such a file opens as a model with `dtype: "int8"`.
   */
  dtype?: "F32" | "F16" | "BF16" | "I8";
}

/** A transformer, made by `Headwise.transformer`. Each layer has attention and feed-forward. */
export interface Transformer {
  /** The configuration, with every default filled in. */
  readonly config: ResolvedTransformerConfig;
  /** Number of scalars in `parameters()`. */
  readonly parameterCount: number;
  /** Computes hidden states and logits, and what `capture` requests. */
  forward(input: ModelInput, options?: TransformerOptions): TransformerResult;
  /** Computes the loss with dropout and adds its gradients to `gradients()`. Targets of a classifier are [B]. Returns the loss, defined as in `Evaluation`. */
  accumulateGradients(input: ModelInput, targets: Tokens, options?: InputOptions): number;
  /**
   * One training step: `zeroGradients`, `accumulateGradients`, `optimizer.step([this])`. Returns the loss before the step. If the
   * gradient norm is not finite, the step is skipped and counted in `optimizer.skippedSteps`.
   */
  trainStep(input: ModelInput, targets: Tokens, optimizer: AdamW, options?: InputOptions): number;
  /** Computes loss and accuracy without dropout. */
  evaluate(input: ModelInput, targets: Tokens, options?: InputOptions): Evaluation;
  /**
   * Generates tokens one at a time, with a key/value cache. `prompt` is one sequence of at least one token; the model must be causal.
   * When the context is full, or if the prompt is longer than it, generation continues from the last contextLength / 2 tokens.
   * Parameters must not change meanwhile. Throws `invalid-option` if the logits are not finite.
   */
  generate(prompt: Tokens, options: GenerateOptions): Generator<number, void, void>;
  /**
   * The attention module of a layer. It shares parameters, gates and gradients with the model, and is disposed with the model; its own
   * `dispose()` does nothing. Each call returns the same object.
   */
  attention(layer: number): MultiHeadAttention;
  /**
   * Copies of all parameters that the configuration has: `embedding.weight` [V, E], `positions.weight` [C, E], `token_types.weight`
   * [types, E], `embedding.patch.weight` [E, channels · size²], `embedding.class` [E], `embedding.registers` [R, E], `embedding_norm.weight`
   * [E]; of layer N `layers.N.norm1.weight`, `layers.N.attention.q_proj.weight` … as a module's, `.norm1_after.weight`, `.norm2.weight`,
   * `.feed_forward.up.weight` [F, E], `.gate.weight`, `.down.weight` [E, F], `.norm2_after.weight`; `norm.weight`, `head_transform.dense.weight`
   * [E, E], `head_transform.norm.weight`, `head.weight` [V, E], `pooler.dense.weight` or `pooler.norm.weight`, `classifier.weight`
   * [labels, E], `projection.weight` [projectionDim, E]; and their `.bias`.
   */
  parameters(): Parameters;
  /** Replaces the given parameters. Throws and changes nothing if a name is unknown or a shape differs. */
  setParameters(parameters: Readonly<Record<string, TensorLike>>): void;
  /** Copies of all gradients, initially zeros: named as in `parameters()`, and `layers.N.attention.head_gates` [H]. */
  gradients(): Parameters;
  /** Sets all gradients to 0. */
  zeroGradients(): void;
  /**
   * Makes a smaller model without the given heads: for each layer, indices of its current heads. This model is unchanged. Attention
   * without heads adds only its output bias.
   */
  prune(heads: Readonly<Record<number, readonly number[]>>): Transformer;
  /**
   * A copy with matrices in another number format, for example a smaller one for inference. Deterministic. Throws `invalid-option` if a
   * matrix has an infinity or NaN and `dtype` is `"int8"`. This model is unchanged.
   */
  convert(options: ConvertOptions): Transformer;
  /**
   * A copy with fewer key/value heads: `groups` of them, a divisor of the model's number. Each is made of neighbours, and all query heads that
   * read one of these read it (grouped-query attention). It computes something else, and is to be trained further. This model is unchanged.
   */
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<Transformer>;
  /** The model as the bytes of a safetensors file, with the configuration and the head gates in its metadata. */
  save(options?: SaveOptions): Bytes;
  /** Frees the model's memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** A transformer, however it is saved. */
export type AnyTransformer = Omit<Transformer, "save" | "prune" | "convert" | "groupHeads"> & {
  prune(heads: Readonly<Record<number, readonly number[]>>): AnyTransformer;
  convert(options: ConvertOptions): AnyTransformer;
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<AnyTransformer>;
};
