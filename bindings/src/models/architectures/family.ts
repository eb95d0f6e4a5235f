/** What a family of published models is, to Headwise: a table. */
import type { TransformerConfig } from "../../transformer/types.js";
import type { ConfigFile } from "./config_file.js";
import type { Held } from "./forms.js";

/**
 * A file's tensors, and the parameters that they hold. A name stands for itself, or for what it has as `.weight` and `.bias`.
 * N is each layer's number. `{q,k,v}_proj` are several, one behind the other along the outputs. Of two tensors
 * that hold the same parameter a file has one; the other may be there and must then be the same.
 */
export type TensorTable = Readonly<Record<string, string | Held>>;

/** What the table of a family is told of a file, beside its config.json. */
export interface ModelFile {
  /** Whether there is a tensor, by its name in the family's table. */
  has(name: string): boolean;
}

export interface Family {
  /** What config.json may give as architecture. */
  readonly architectures: readonly string[];
  /** What stands before the names of `tensors`, but for a bare model's. */
  readonly prefix: string;
  readonly config: (config: ConfigFile, file: ModelFile) => TransformerConfig;
  readonly tensors: TensorTable;
  /** Tensors whose names have no prefix. */
  readonly heads?: TensorTable | readonly TensorTable[];
  /** Tensors that hold no parameters: masks, tables that are computed, what is used in pretraining alone. */
  readonly others?: RegExp;
  /** The option that says how many learned positions there are. */
  readonly positionsOption?: string;
  /** The option that says how many key/value heads there are, where a family may have fewer of them than heads. */
  readonly groupsOption?: string;
  /** Whether transformers 4 knows `pruned_heads` of it. */
  readonly prunes?: boolean;
}

/** Options that most families share, by transformers' own names. */
export function usualSizes(config: ConfigFile) {
  const embedDim = config.integer("hidden_size");
  const numHeads = config.integer("num_attention_heads");
  return {
    layers: config.layers("num_hidden_layers"),
    embedDim,
    numHeads,
    feedForwardDim: config.integer("intermediate_size"),
  };
}

/** transformers' names of activations, as ours. */
export const activations = {
  gelu: "gelu-erf",
  gelu_new: "gelu",
  gelu_fast: "gelu",
  gelu_pytorch_tanh: "gelu",
  quick_gelu: "quick-gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
} as const;
