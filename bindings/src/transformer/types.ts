/** The public types of transformers. */
import type { Bytes, Tensor, TensorLike, Tokens } from "../base/types.js";
import type { RopeConfig, WeightsStage } from "../attention/types.js";
import type { AdamW, MultiHeadAttention, Parameters } from "../module/types.js";

/** Sequences to train on or to measure with. */
export interface Batch {
  /** [L] or [B, L]. */
  readonly tokens: Tokens;
  /** The token to predict at each position, in the shape of `tokens`. A target of −1 is ignored. */
  readonly targets: Tokens;
}

/** Configuration of `Headwise.transformer`. */
export interface TransformerConfig {
  /** V: number of tokens in the vocabulary. */
  vocabSize: number;
  /** C: largest number of tokens in a sequence. */
  contextLength: number;
  /** Number of layers: 1 … 1000. */
  layers: number;
  /** E: width of the residual stream. */
  embedDim: number;
  /** H: number of heads in each layer, 1 … 4096. */
  numHeads: number;
  /** G: number of key/value heads, as in `MultiHeadAttentionConfig`. Default H. */
  numKvHeads?: number;
  /** D: width of a head. Default E / H; then H must divide E. */
  headDim?: number;
  /** F: hidden width of the feed-forward layers; 0: no feed-forward layers. Default 4 E. */
  feedForwardDim?: number;
  /** `"layer"` (default): layer norm (Ba et al. 2016), and biases in all linear layers but the last. `"rms"`: RMS norm (Zhang & Sennrich 2019), and no biases. */
  norm?: "layer" | "rms";
  /** ε of the norms, added to the variance (`"layer"`) or to the mean square (`"rms"`): a float32 number > 0. Default 1e-5 (`"layer"`) or 1e-6 (`"rms"`). */
  normEpsilon?: number;
  /** Activation of the feed-forward layers. `"gelu"` (default): the tanh form (Hendrycks & Gimpel 2016). `"silu-gated"` or `"swiglu"`, the same: W_down (silu(W_gate x) ∘ W_up x) (Shazeer 2020). */
  activation?: "relu" | "gelu" | "silu-gated" | "swiglu";
  /**
   * Position encoding. `"learned"` (default): trained vectors, added to the embeddings. `"sinusoidal"`: fixed vectors, added to the
   * embeddings times √E (Vaswani et al. 2017, 3.4 and 3.5). `"rotary"`, `"alibi"`: in attention. `"none"`: no encoding.
   */
  positions?: "learned" | "rotary" | "sinusoidal" | "alibi" | "none";
  /** Rotary embedding, only with `positions: "rotary"`. Default: base 10000, dim headDim, not interleaved. */
  rope?: RopeConfig;
  /** Whether each token attends only to itself and earlier ones. Default true. */
  causal?: boolean;
  /** Whether the output matrix is the embedding matrix (true) or a parameter of its own. Default true. */
  tieEmbeddings?: boolean;
  /** Dropout rate in training, 0 <= rate < 1: of attention probabilities, and of what each layer adds to the residual stream. Default 0. */
  dropout?: number;
  /** Seed of the initialisation and of dropout: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
  /** The remaining heads of each layer after pruning: ascending indices in 0 … H − 1. Default: all heads. */
  heads?: readonly (readonly number[])[];
}

/** A configuration with every default filled in. `rope` is present only with rotary positions. `heads` lists the remaining heads of each layer, as indices in the original model. */
export type ResolvedTransformerConfig = Readonly<
  Required<Omit<TransformerConfig, "rope" | "activation">> & {
    activation: "relu" | "gelu" | "silu-gated";
    rope?: Readonly<Required<RopeConfig>>;
  }
>;

/** What `Transformer.forward` returns for its layers in addition to the logits. */
export interface Capture {
  /** Attention weights of each head at this stage: [B, H, L, L]. */
  weights?: WeightsStage;
  /** `"values"`: the output of each head, [B, H, L, D]. `"contributions"`: what each head adds to the residual stream, [B, H, L, E]. */
  heads?: "values" | "contributions";
  /** The layers to capture. Default: all. */
  layers?: readonly number[];
}

/** Result of `Transformer.forward`. If the tokens have no batch axis, neither have the results. */
export interface TransformerResult {
  /** [B, L, V]. */
  readonly logits: Tensor;
  /** One object per layer of the model. It is empty if nothing was captured. */
  readonly layers: readonly { readonly weights?: Tensor; readonly heads?: Tensor }[];
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
  /** Seed of the sampling: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
}

/** Options of `Transformer.save`. */
export interface SaveOptions {
  /** Element type in the file: F32 (default) is bit-exact. */
  dtype?: "F32" | "F16" | "BF16";
}

/** A transformer that predicts tokens, made by `Headwise.transformer`. Each layer has attention and feed-forward, with the norm before each (pre-norm). */
export interface Transformer {
  readonly config: ResolvedTransformerConfig;
  /** Number of scalars in `parameters()`. */
  readonly parameterCount: number;
  /** Computes the logits of the token after each position, and what `capture` requests. */
  forward(tokens: Tokens, options?: { capture?: Capture }): TransformerResult;
  /** Computes the loss with dropout and adds its gradients to `gradients()`. Returns the loss, defined as in `Evaluation`. */
  accumulateGradients(tokens: Tokens, targets: Tokens): number;
  /**
   * One training step: `zeroGradients`, `accumulateGradients`, `optimizer.step([this])`. Returns the loss before the step. If the
   * gradient norm is not finite, the step is skipped and counted in `optimizer.skippedSteps`.
   */
  trainStep(tokens: Tokens, targets: Tokens, optimizer: AdamW): number;
  /** Computes loss and accuracy without dropout. */
  evaluate(tokens: Tokens, targets: Tokens): Evaluation;
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
   * Copies of all parameters: `embedding.weight` [V, E], `positions.weight` [C, E], `layers.N.norm1.weight` [E],
   * `layers.N.attention.q_proj.weight` …, `layers.N.norm2.weight`, `layers.N.feed_forward.up.weight` [F, E], `.gate.weight`,
   * `.down.weight` [E, F], `norm.weight`, `head.weight` [V, E] if embeddings are not tied, and their `.bias`.
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
  /** The model as the bytes of a safetensors file, with the configuration and the head gates in its metadata. */
  save(options?: SaveOptions): Bytes;
  /** Frees the model's memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
