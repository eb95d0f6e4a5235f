/** The public types of configurations of transformers. */
import type { ResolvedRope, RopeConfig } from "../attention/types.js";
import type { Dtype } from "../module/types.js";

/** Rotary embedding, windows and norms of one layer. */
export interface LayerOptions {
  /** Largest number of tokens before (`left`) and after (`right`) it that each token attends to, as in `VisibilityOptions`. Default: unbounded. */
  readonly window?: { readonly left?: number; readonly right?: number };
  /** Rotary embedding of this layer, instead of the model's; `false`: none. */
  readonly rope?: RopeConfig | false;
  /** Whether the layer has a norm before attention. Default true. */
  readonly norm1?: boolean;
}

/** How images become patches. Each patch is a row of the residual stream. */
export interface PatchConfig {
  /** Number of channels of the images. Default 3. */
  channels?: number;
  /** Side length of a patch in pixels. */
  size: number;
  /** Number of rows and columns of patches. */
  grid: readonly [number, number];
  /** Whether the patch embedding has a bias. Default true. */
  bias?: boolean;
  /** Whether the first row is a learned class token. Default true. */
  classToken?: boolean;
  /** Number of register tokens: learned rows after the class token, without positions (Darcet et al. 2023). Default 0. */
  registerTokens?: number;
}

/** Which linear layers have a bias. */
export interface BiasConfig {
  /** The projections of queries, keys and values. */
  qkv?: boolean;
  /** The attention's output projection. */
  out?: boolean;
  /** The feed-forward layers. */
  feedForward?: boolean;
  /** `headTransform`, `pooler` and the classifier of `labels`. */
  readout?: boolean;
}

/** Configuration of `Headwise.transformer`. All options are independent of each other unless they say otherwise. */
export interface TransformerConfig {
  /** V: number of tokens in the vocabulary. Required without `patches`. */
  vocabSize?: number;
  /** C: largest number of tokens in a sequence. Required without `patches`. */
  contextLength?: number;
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
  /** Kind of all norms: `"layer"` (default; Ba et al. 2016) or `"rms"` (Zhang & Sennrich 2019). */
  norm?: "layer" | "rms";
  /** ε of the norms, added to the variance (`"layer"`) or to the mean square (`"rms"`): a float32 number > 0. Default 1e-5 (`"layer"`) or 1e-6 (`"rms"`). */
  normEpsilon?: number;
  /** Whether the norms have a bias. Default: true for `"layer"`, false for `"rms"`. */
  normBias?: boolean;
  /**
   * Position of the norms, where x is the residual stream and f a sublayer. `"before"` (default): x + f(norm(x)); `"after"`: norm(x + f(x))
   * (BERT); `"both"`: x + norm(f(norm(x))) (Gemma 2); `"parallel"`: x + attention(norm1(x)) + feedForward(norm2(x)) (GPT-NeoX);
   * `"parallel-shared"`: the same with one norm for both (GPT-J).
   */
  normPlacement?: "before" | "after" | "both" | "parallel" | "parallel-shared";
  /** Whether there is a norm after the sum of the embeddings. Default false. */
  embeddingNorm?: boolean;
  /** Whether there is a norm after the last layer. Default true, with `normPlacement: "after"` false. */
  finalNorm?: boolean;
  /** RMS norm of each head's queries and keys, before the rotary embedding (Qwen 3). Default false. */
  queryKeyNorm?: boolean;
  /** Biases of the linear layers: of all, or of each group. Default: true for `norm: "layer"`, false for `"rms"`. */
  bias?: boolean | BiasConfig;
  /**
   * Activation of the feed-forward layers. `"gelu"` (default): the tanh form (Hendrycks & Gimpel 2016). `"gelu-erf"`: the exact form.
   * `"quick-gelu"`: x sigmoid(1.702 x). `"silu-gated"` and `"swiglu"` are `"silu"` with `gated: true`.
   */
  activation?: "relu" | "gelu" | "gelu-erf" | "quick-gelu" | "silu" | "silu-gated" | "swiglu";
  /** Whether feed-forward is W_down (f(W_gate x) ∘ W_up x) instead of W_down f(W_up x) (Shazeer 2020). Default false. */
  gated?: boolean;
  /**
   * Position encoding. `"learned"` (default): trained vectors, added to the embeddings. `"sinusoidal"`: fixed vectors, added to the
   * embeddings (Vaswani et al. 2017, 3.5). `"rotary"`, `"alibi"`: in attention. `"none"`: no encoding.
   */
  positions?: "learned" | "rotary" | "sinusoidal" | "alibi" | "none";
  /**
   * Default positions of tokens. `"order"` (default): counted from 0; in causal models without padding tokens. `{ padding }`: tokens other than
   * this id are counted from padding + 1 (RoBERTa).
   */
  positionsFrom?: "order" | { readonly padding: number };
  /** Rotary embedding, only with `positions: "rotary"`. Default: base 10000, dim headDim, not interleaved. */
  rope?: RopeConfig;
  /** Whether each token attends only to itself and earlier ones. Default true. */
  causal?: boolean;
  /** Factor of the attention scores. Default 1 / sqrt(D). */
  scale?: number;
  /** Replaces each attention score x with softcap · tanh(x / softcap). Default 0: no softcap. */
  softcap?: number;
  /** One object per layer. Default: all layers are the same. */
  layerOptions?: readonly LayerOptions[];
  /** Factor of the embeddings. Default 1, with `"sinusoidal"` √E. */
  embeddingScale?: number;
  /** Number of token types, whose vectors are added to the embeddings (BERT). Default 0: none. */
  tokenTypes?: number;
  /** Makes the model read images instead of tokens. */
  patches?: PatchConfig;
  /** Whether the model computes logits of the vocabulary. Default: true for a model of tokens without `labels` and `projectionDim`. */
  head?: boolean;
  /** Whether the output matrix is the embedding matrix (true) or a parameter of its own. Default true. */
  tieEmbeddings?: boolean;
  /** Whether the output matrix has a bias. Default false. */
  headBias?: boolean;
  /** Whether a linear layer, the activation and a norm precede the output matrix (masked language models). Default false. */
  headTransform?: boolean;
  /** Replaces each logit x with logitSoftcap · tanh(x / logitSoftcap). Default 0: no softcap. */
  logitSoftcap?: number;
  /**
   * How `pooled` is computed from the hidden state of one row. `"row"`: unchanged. `"norm"`: after a norm. `"tanh"`, `"relu"`: after a linear
   * layer and this function. `"transform"`: after a linear layer, the model's activation and a norm, with a classifier that has a bias. Default `"none"`; with `labels` or `projectionDim`, `"row"`.
   */
  pooler?: "none" | "row" | "norm" | "tanh" | "relu" | "transform";
  /** Row of the pooler: the first (default), that of the largest token id, or that of the first token equal to `token` (if there is none, the first row). */
  pooledRow?: "first" | "largest" | { readonly token: number };
  /** Number of classes of a classifier: `logits` are then a linear layer of `pooled`. Default 0: no classifier. */
  labels?: number;
  /** Width of `embedding`, a linear layer of `pooled` without bias (CLIP). Default 0: none. */
  projectionDim?: number;
  /** Dropout rate in training, 0 <= rate < 1: of attention probabilities, and of what each layer adds to the residual stream. Default 0. */
  dropout?: number;
  /** Seed of the initialisation and of dropout: an integer, 0 … 2^32 − 1. Default 0. */
  seed?: number;
  /** Number format of the matrices in memory. Default `"f32"`. */
  dtype?: Dtype;
  /** The remaining heads of each layer after pruning: ascending indices in 0 … H − 1. Default: all heads. */
  heads?: readonly (readonly number[])[];
}

/** A configuration with every default filled in. `rope` and `patches` are present only if they apply. `heads` lists the remaining heads of each layer, as indices in the original model. */
export type ResolvedTransformerConfig = Readonly<
  Required<Omit<TransformerConfig, "activation" | "rope" | "patches" | "bias">> & {
    activation: Exclude<Required<TransformerConfig>["activation"], "swiglu">;
    bias: Readonly<Required<BiasConfig>>;
    rope?: ResolvedRope;
    patches?: Readonly<Required<PatchConfig>>;
  }
>;
