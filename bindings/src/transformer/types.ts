/** The public types of transformers. */
import type { Bytes, Tensor, TensorLike, Tokens, Watchable } from "../base/types.js";
import type { ResolvedRope, RopeConfig, WeightsStage } from "../attention/types.js";
import type { AdamW, Dtype, MultiHeadAttention, Parameters } from "../module/types.js";

/** Images as input of a model with `patches`. */
export interface Images {
  /**
   * [B, channels, height, width]. With learned positions the size may be another one than the model's own, in multiples of a patch:
   * positions are interpolated (bicubic). Training takes the own size alone.
   */
  readonly pixels: TensorLike;
}

/** Input of a model: tokens or images. */
export type ModelInput = Tokens | Images;

/** Sequences to train on or to measure with. */
export interface Batch {
  /** [L] or [B, L]. */
  readonly tokens: Tokens;
  /** The token to predict at each position, in the shape of `tokens`. A target of −1 is ignored. */
  readonly targets: Tokens;
}

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

/** Inputs of a model in addition to tokens. */
export interface InputOptions {
  /** Padding mask in the shape of the tokens: 0 for padding, on either side, which no token attends to; otherwise 1. Default: no padding. */
  mask?: Tokens;
  /** Token types in the shape of the tokens. Default: all 0. */
  tokenTypes?: Tokens;
  /** Positions in the shape of the tokens. Default: by `positionsFrom`. */
  positions?: Tokens;
}

/** Options of `Transformer.forward`. */
export interface TransformerOptions extends InputOptions {
  /** The tokens to compute logits of. `"last"`: the last token of each sequence that is not padding. Default `"all"`. */
  logits?: "all" | "last" | "none";
  /** What to capture of the layers. Default: nothing. */
  capture?: Capture;
  /** Changes on the way. Default: none. */
  edits?: readonly Edit[];
}

/**
 * A change of a forward pass in one layer, as in activation patching. Exactly one of `set`, `add` and `scale` is given. Edits apply in the
 * order of the computation: before, query, key, value, weights, heads, attention, middle, feedForward, stream.
 */
export interface Edit {
  /** Index of the layer. */
  layer: number;
  /**
   * `"query"`, `"key"`, `"value"`: as attended with, after norm and rotary embedding. `"weights"`: the probabilities, which need not sum
   * to one afterwards. `"heads"`: the output of each head, before its gate. `"attention"`, `"feedForward"`: what each adds to the residual
   * stream. `"before"`, `"middle"`, `"stream"`: the residual stream before the layer, between attention and feed-forward, and after the layer.
   */
  at: "query" | "key" | "value" | "weights" | "heads" | "attention" | "feedForward" | "before" | "middle" | "stream";
  /** The head that is changed; of `"key"` and `"value"` the key/value head. Default: all. */
  head?: number;
  /** The tokens that are changed; of `"weights"` the queries. Default: all. */
  tokens?: readonly number[];
  /** New values: a number, or a tensor in the shape that `capture` gives, or one that broadcasts to it. `{ set: 0 }` is zero ablation. */
  set?: number | TensorLike;
  /** Is added: as `set`. */
  add?: number | TensorLike;
  /** A factor. */
  scale?: number;
}

/** What `Transformer.forward` returns for its layers in addition to the logits. */
export interface Capture {
  /** Attention weights of each head at this stage: [B, H, L, L]. */
  weights?: WeightsStage;
  /** `"values"`: the output of each head, [B, H, L, D]. `"contributions"`: what each head adds to the residual stream, [B, H, L, E]. */
  heads?: "values" | "contributions";
  /** Whether to capture the queries as attended with, after norm and rotary embedding: [B, H, L, D]. Default false. */
  queries?: boolean;
  /** The keys, likewise: [B, G, L, D], G key/value heads. Default false. */
  keys?: boolean;
  /** The values: [B, G, L, D]. Default false. */
  values?: boolean;
  /** What the attention adds to the residual stream: [B, L, E]. Default false. */
  attention?: boolean;
  /** What the feed-forward adds to it: [B, L, E]. Default false. */
  feedForward?: boolean;
  /** The residual stream before the layer, between attention and feed-forward, and after the layer: [B, L, E] each. Default: none. */
  stream?: readonly ("before" | "middle" | "after")[];
  /** The layers to capture. Default: all. */
  layers?: readonly number[];
}

/** Result of `Transformer.forward`. If the tokens have no batch axis, neither have the results. */
export interface TransformerResult {
  /** [B, L, V], with `logits: "last"` [B, V]; of a classifier [B, labels]. Absent if the model or the call has none. */
  readonly logits?: Tensor;
  /** `[B, L, E]`: the last hidden states, from which the logits are computed. */
  readonly hidden: Tensor;
  /** [B, E], if the model has a pooler. */
  readonly pooled?: Tensor;
  /** [B, projectionDim], if the model has a projection. */
  readonly embedding?: Tensor;
  /** One object per layer of the model. It is empty if nothing was captured. */
  readonly layers: readonly CapturedLayer[];
}

/** What `Capture` asked for, of one layer. */
export interface CapturedLayer {
  /** Attention weights of each head, [B, H, L, L], if `capture.weights` was given. */
  readonly weights?: Tensor;
  /** What each head gives, [B, H, L, Dv] (`"values"`) or [B, H, L, E] (`"contributions"`). */
  readonly heads?: Tensor;
  /** [B, H, L, D]. */
  readonly queries?: Tensor;
  /** [B, G, L, D]. */
  readonly keys?: Tensor;
  /** [B, G, L, D]. */
  readonly values?: Tensor;
  /** What attention adds to the residual stream, [B, L, E]. */
  readonly attention?: Tensor;
  /** What the feed-forward adds to the residual stream, [B, L, E]. */
  readonly feedForward?: Tensor;
  /** The residual stream at the places asked for, [B, L, E] each. */
  readonly stream?: { readonly before?: Tensor; readonly middle?: Tensor; readonly after?: Tensor };
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
  /** Tokens that end the text; they are not generated themselves. Default: none. */
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
