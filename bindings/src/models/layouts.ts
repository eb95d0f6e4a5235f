/** How the state dicts of other libraries hold the parameters of an attention module. */
import type { Numbers } from "../transformer/raw_parameters.js";
import type { ExportParametersOptions, StateDictLayout } from "./types.js";
import { invalidOption, oneOf } from "../base/checks.js";
import type { OptionTable } from "../base/options.js";
import { parametersOf, type Parameter } from "../module/config.js";
import { allocate } from "../base/tensor.js";
import type { MultiHeadAttentionConfig, Parameters, ResolvedConfig } from "../module/types.js";

export interface Layout {
  /**
   * The state dict's tensors, q_proj's weight first: whose weights or biases each one is, or stacks along the outputs in
   * this order, by the initials of q_proj, k_proj, v_proj and out_proj.
   */
  readonly tensors: Readonly<Record<string, string>>;
  /** Weights are [in, out] and not [out, in]. */
  readonly transposed?: boolean;
  /** The biases that there may be: the last of these where the state dict has any, else the first. */
  readonly bias: readonly ResolvedConfig["bias"][];
  /**
   * What else real files have under the prefix, and attention does without: the layer's other blocks, norms around
   * attention, buffers that are computed. Any other name is a variant's, which computes something else.
   */
  readonly beside?: RegExp;
}

const torchRest = { in_proj_bias: "qkv", "out_proj.weight": "o", "out_proj.bias": "o" };

export const layouts: Record<StateDictLayout, Layout> = {
  torch: {
    tensors: { in_proj_weight: "qkv", ...torchRest },
    bias: [false, true],
  },
  bert: {
    tensors: {
      "attention.self.query.weight": "q",
      "attention.self.query.bias": "q",
      "attention.self.key.weight": "k",
      "attention.self.key.bias": "k",
      "attention.self.value.weight": "v",
      "attention.self.value.bias": "v",
      "attention.output.dense.weight": "o",
      "attention.output.dense.bias": "o",
    },
    bias: [true],
    beside: /^(attention\.(output\.)?LayerNorm|intermediate|output|crossattention)\./,
  },
  gpt2: {
    tensors: {
      "attn.c_attn.weight": "qkv",
      "attn.c_attn.bias": "qkv",
      "attn.c_proj.weight": "o",
      "attn.c_proj.bias": "o",
    },
    transposed: true, // Conv1D: x W + b
    bias: [true],
    // attn.bias is the causal mask, and masked_bias its number for what is masked.
    beside: /^(ln_1|ln_2|ln_cross_attn|mlp|crossattention)\.|^attn\.(masked_)?bias$/,
  },
  llama: {
    tensors: {
      "self_attn.q_proj.weight": "q",
      "self_attn.q_proj.bias": "q",
      "self_attn.k_proj.weight": "k",
      "self_attn.k_proj.bias": "k",
      "self_attn.v_proj.weight": "v",
      "self_attn.v_proj.bias": "v",
      "self_attn.o_proj.weight": "o",
    },
    bias: [false, "qkv"],
    // inv_freq, in older files, follows from the rotary embedding's base.
    beside: /^(mlp|block_sparse_moe|[a-z_]*layernorm)\.|^self_attn\.rotary_emb\.inv_freq$/,
  },
};

/** nn.MultiheadAttention whose kdim or vdim is not its embed_dim. */
export const torchSeparate: Layout = {
  ...layouts.torch,
  tensors: { q_proj_weight: "q", k_proj_weight: "k", v_proj_weight: "v", ...torchRest },
};

/** What stands before the layout's names: with a dot at its end. */
function checkPrefix(value: unknown, name: string): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw invalidOption(name, "a string", value);
  return value.replace(/[^.]$/, "$&.");
}

/** The options that import and export share. */
export const layoutTable = {
  layout: oneOf(Object.keys(layouts) as StateDictLayout[]),
  prefix: checkPrefix,
} satisfies OptionTable<ExportParametersOptions>;

/** One of a state dict's tensors: the parameters in it, and its shape. */
export interface LayoutTensor {
  readonly name: string;
  readonly parts: readonly Parameter[];
  readonly shape: readonly number[];
}

export const isBias = (name: string) => name.endsWith("bias");

/** The tensors that a state dict of this layout has for a module, in the layout's order. */
export function tensorsOf({ tensors, transposed }: Layout, config: ResolvedConfig): LayoutTensor[] {
  const parameters = parametersOf(config);
  return Object.entries(tensors).flatMap(([name, projections]) => {
    const parts = parameters.filter(
      (parameter) => projections.includes(parameter.name[0]!) && isBias(parameter.name) === isBias(name),
    );
    if (parts.length === 0) return []; // a bias that the module does not have
    const outputs = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
    const shape = [outputs, ...parts[0]!.shape.slice(1)];
    return { name, parts, shape: transposed ? shape.reverse() : shape };
  });
}

/** The data of [rows, columns] as [columns, rows]. Of bits: a float that is a signalling NaN might not stay one. */
export function transpose<Data extends Numbers>(data: Data, rows: number): Data {
  const result = zerosLike(data, data.length);
  const bits = ({ buffer, byteOffset, length }: Numbers) =>
    new wordsOf[data.BYTES_PER_ELEMENT]!(buffer as ArrayBuffer, byteOffset, length);
  const [to, from] = [bits(result), bits(data)];
  for (let row = 0, n = 0; row < rows; ++row) {
    for (let at = row; at < to.length; at += rows) to[at] = from[n++]!;
  }
  return result;
}

/** As integers, which keep a NaN's bits. */
const wordsOf = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array } as Record<
  number,
  typeof Uint8Array | typeof Uint16Array | typeof Uint32Array
>;

/** Zeros of the same type as `data`. */
export function zerosLike<Data extends Numbers>(data: Data, count: number): Data {
  const Type = data.constructor as new (buffer: ArrayBuffer) => Data;
  return new Type(allocate(data.BYTES_PER_ELEMENT * count));
}
