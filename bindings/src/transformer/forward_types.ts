/** The public types of what a transformer reads, and of what `forward` returns. */
import type { WeightsStage } from "../attention/types.js";
import type { Tensor, TensorLike, Tokens } from "../base/types.js";

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
 * order of the computation: before, query, key, value, weights, heads, attention, middle, feedForward, stream; those of norms where these are.
 */
export interface Edit {
  /** Index of the layer. */
  layer: number;
  /**
   * `"query"`, `"key"`, `"value"`: as attended with, after norm and rotary embedding. `"weights"`: the probabilities, which need not sum
   * to one afterwards. `"heads"`: the output of each head, before its gate. `"attention"`, `"feedForward"`: what each adds to the residual
   * stream. `"before"`, `"middle"`, `"stream"`: the residual stream before the layer, between attention and feed-forward, and after the layer.
   * `"norm1"` and the other names of `NormScales`: what a norm of the layer divides by.
   */
  at:
    | ("query" | "key" | "value" | "weights" | "heads" | "attention" | "feedForward" | "before" | "middle" | "stream")
    | keyof NormScales;
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
  /**
   * `"values"`: the output of each head, [B, H, L, D]. `"contributions"`: what each head adds to the attention's output, [B, H, L, E], which
   * is what it adds to the residual stream unless a norm comes between (Gemma 2 and 3).
   */
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
  /**
   * Whether to capture what each norm of the layers, and the last norm, divides by: sqrt(mean square + ε), of layer norm after the mean is
   * subtracted (TransformerLens's `hook_scale`). Default false.
   */
  normScales?: boolean;
  /** The layers to capture. Default: all. */
  layers?: readonly number[];
}

/** Result of `Transformer.forward`. If the tokens have no batch axis, neither have the results. */
export interface TransformerResult {
  /** [B, L, V], with `logits: "last"` [B, V]; of a classifier [B, labels]. Absent if the model or the call has none. */
  readonly logits?: Tensor;
  /** `[B, L, E]`: the last hidden states, from which the logits are computed. */
  readonly hidden: Tensor;
  /** What the last norm divides by, [B, L, 1], if `capture.normScales` was given and the model has one. */
  readonly normScale?: Tensor;
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
  /** What the layer's norms divide by, if `capture.normScales` was given. */
  readonly normScales?: NormScales;
}

/** What the norms of a layer divide by. The layer has those that its configuration gives it. */
export interface NormScales {
  /** Of the norm before the attention; with `normPlacement: "after"` of the one after the sum: [B, L, 1]. */
  readonly norm1?: Tensor;
  /** Of the norm of the attention's output (`normPlacement: "both"`): [B, L, 1]. */
  readonly norm1After?: Tensor;
  /** As `norm1`, of the feed-forward: [B, L, 1]. */
  readonly norm2?: Tensor;
  /** As `norm1After`, of the feed-forward: [B, L, 1]. */
  readonly norm2After?: Tensor;
  /** Of each head's queries (`queryKeyNorm`): [B, H, L, 1]. */
  readonly queryNorm?: Tensor;
  /** Of the keys, likewise: [B, G, L, 1]. */
  readonly keyNorm?: Tensor;
}
