/** The public types of transformers. */
import type { Bytes, Tensor, TensorLike, Tokens } from "../base/types.js";
import type { RopeConfig, WeightsStage } from "../attention/types.js";
import type { AdamW, MultiHeadAttention, Parameters } from "../module/types.js";

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
  /** `"layer"` (default; Ba et al. 2016): with biases in all linear layers but the last; `"rms"` (Zhang & Sennrich 2019): without any biases. */
  norm?: "layer" | "rms";
  /** ε of the norms, added to the variance (`"layer"`) or the mean square (`"rms"`): a float32 number > 0. Default 1e-5 (`"layer"`) or 1e-6 (`"rms"`). */
  normEpsilon?: number;
  /** Of the feed-forward layers. `"gelu"` (default): the form with tanh (Hendrycks & Gimpel 2016); `"silu-gated"`, also called `"swiglu"`: W_down (silu(W_gate x) ∘ W_up x) (Shazeer 2020). */
  activation?: "relu" | "gelu" | "silu-gated" | "swiglu";
  /** How tokens know their places: `"learned"` vectors (default), `"sinusoidal"` ones (Vaswani et al. 2017, 3.4 and 3.5: embeddings are then multiplied by √E), or by attention: `"rotary"`, `"alibi"`, `"none"`. */
  positions?: "learned" | "rotary" | "sinusoidal" | "alibi" | "none";
  /** Rotary embedding, with `positions: "rotary"` alone: as in `MultiHeadAttentionConfig`. Default: base 10000, all of headDim, halves. */
  rope?: RopeConfig;
  /** Whether each token attends only to itself and earlier ones. Default true. */
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

/** A configuration with every default filled in. `rope`: with rotary positions alone. `heads`: of each layer, the indices in the original model of the heads that remain. */
export type ResolvedTransformerConfig = Readonly<
  Required<Omit<TransformerConfig, "rope" | "activation">> & {
    activation: "relu" | "gelu" | "silu-gated";
    rope?: Readonly<Required<RopeConfig>>;
  }
>;

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
  /**
   * One step of learning: `zeroGradients`, `accumulateGradients`, `optimizer.step([this])`. Returns the loss before the step.
   * Where gradients are not finite the step is skipped, and `optimizer.skippedSteps` counts it.
   */
  trainStep(tokens: Tokens, targets: Tokens, optimizer: AdamW): number;
  /** Loss and accuracy, without dropout. */
  evaluate(tokens: Tokens, targets: Tokens): Evaluation;
  /**
   * Generates tokens, one at a time, each from those before; `prompt` is one sequence; causal models alone. Where the context is full, or the
   * prompt longer than it, it goes on from the last contextLength / 2 tokens. Parameters must not change meanwhile.
   */
  generate(prompt: Tokens, options: GenerateOptions): Generator<number, void, void>;
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
  save(options?: SaveOptions): Bytes;
  /** Frees the model's memory. Idempotent; any other use afterwards throws `disposed`. */
  dispose(): void;
  /** `dispose`, where the engine has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}
