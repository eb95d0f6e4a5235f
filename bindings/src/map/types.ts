/** The public types of the element `<headwise-map>`. */
import type { TensorLike } from "../base/types.js";

/** What the element needs of a model: `OpenedModel` and `WorkerOpenedModel` have it. */
export interface MappableModel {
  /** Turns `text` into tokens and their labels. */
  readonly tokenizer?: { tokenize(text: string): { readonly ids: Int32Array; readonly tokens: readonly string[] } };
  /** Returns the attention probabilities of the layers asked for. */
  forward(
    input: Int32Array,
    options: { logits: "none"; capture: { weights: "probabilities"; layers: number[] } },
  ): ForwardWeights | Promise<ForwardWeights>;
}

/** What the element reads of a forward pass. */
export interface ForwardWeights {
  /** By layer: attention probabilities, [B, H, L, L]. */
  readonly layers: readonly { readonly weights?: TensorLike }[];
}

/** The cell that the reader is at. */
export interface MapCell {
  /** Index of the row: the token that attends. */
  readonly query: number;
  /** Index of the column: the token attended to. */
  readonly key: number;
  /** The attention weight, 0 … 1. */
  readonly weight: number;
}

/**
 * An attention map: rows are queries, columns are keys. It draws given `weights`, or those of a `model`'s head on its `text`. The pointer and
 * the arrow keys read it cell by cell; the event "cell" tells of each, with a `MapCell` as `detail`.
 */
export interface HeadwiseMap extends HTMLElement {
  /** Attention weights: [L, S] of one head, or [H, L, S], of which `head` is drawn. `null`: none. */
  weights: TensorLike | null;
  /** Labels of the tokens. Default: those of the model's tokenizer, or numbers. */
  tokens: readonly string[] | null;
  /** A model, with which the map is live: it follows `text`, `layer` and `head`. */
  model: MappableModel | null;
  /** Attribute `text`: what the model reads. */
  text: string;
  /** Attribute `layer`: index of the layer. */
  layer: number;
  /** Attribute `head`: index of the head in its layer. */
  head: number;
}
