import { checkInteger, integer, invalidOption, invalidShape } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { optional, readMembers, readOptions, type OptionTable } from "../base/options.js";
import { isBias, layouts, layoutTable, tensorsOf, torchSeparate, transpose } from "./layouts.js";
import type { ImportParametersOptions, ModuleState } from "./types.js";
import { resolveConfig } from "../module/config.js";
import type { Safetensors } from "../files/types.js";
import { checkTensor, product, refuseOtherShape } from "../base/tensor.js";
import type { Parameters } from "../module/types.js";
import type { TensorLike } from "../base/types.js";

/** An object of tensors as an open file; files as they are. */
function asFile(tensors: unknown): Pick<Safetensors, "names" | "tensor"> {
  if (isObject(tensors) && typeof tensors.tensor === "function") return tensors as unknown as Safetensors;
  const members = readMembers(tensors, "importParameters", "tensors by name or an open file");
  return { names: [...members.keys()], tensor: (name) => checkTensor(members.get(name), name) };
}

const optionTable = {
  ...layoutTable,
  numHeads: integer(1),
  numKvHeads: optional(integer(1)),
} satisfies OptionTable<ImportParametersOptions>;

/**
 * The configuration (for `multiHeadAttention`) and parameters (for `setParameters`) that a state dict holds: an object of
 * tensors, or what `readSafetensors` returned, of which only what is needed is read. Widths come from the tensors'
 * shapes; what no state dict tells, such as rotary embeddings, is the caller's to add to the configuration. Under the
 * prefix there may be the layer's other blocks, norms around attention and buffers (`mlp`, `ln_1`, `attn.masked_bias`),
 * which are not read. The data are views of the tensors given, where these are not transposed.
 *
 * Throws `invalid-option` for a tensor that is missing, and for any other under the prefix: by it a variant computes
 * something else (`bias_k`, `q_norm.weight`, `sinks`, LoRA). `invalid-shape` for one of a wrong shape, `invalid-file` for
 * one of a type that cannot be read.
 */
export function importParameters(
  tensors: Readonly<Record<string, TensorLike>> | Safetensors,
  options: ImportParametersOptions,
): ModuleState {
  const given = readOptions(options, "importParameters", optionTable);
  const { layout: layoutName, prefix, numHeads, numKvHeads = numHeads } = given;
  checkInteger(numKvHeads, "numKvHeads", 1, numHeads);
  if (layoutName !== "llama" && numKvHeads !== numHeads)
    throw invalidOption("numKvHeads", `numHeads = ${numHeads}, as layout "${layoutName}" has no groups`, numKvHeads);

  const file = asFile(tensors);
  const present = new Set(
    file.names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
  );
  const has = (name: string) => present.has(name);
  const isSeparate =
    layoutName === "torch" && !has("in_proj_weight") && Object.keys(torchSeparate.tensors).slice(0, 3).some(has);
  const layout = isSeparate ? torchSeparate : layouts[layoutName];
  const known = Object.keys(layout.tensors);
  const bias = layout.bias.at(known.some((name) => isBias(name) && has(name)) ? -1 : 0)!;
  const names = known.filter((name) => bias || !isBias(name));
  const refuse = (name: string | undefined, why: string) => {
    if (name !== undefined) throw new HeadwiseError("invalid-option", `${prefix}${name}: ${why}`);
  };
  refuse(
    names.find((name) => !has(name)),
    `missing, and layout "${layoutName}" needs it`,
  );
  refuse(
    [...present].find((name) => !known.includes(name) && !layout.beside?.test(name)),
    `layout "${layoutName}" has no such tensor, and without it the result may be another`,
  );
  const found = names.map((name) => file.tensor(prefix + name));

  const turned = <T>(shape: readonly T[]) => (layout.transposed ? [...shape].reverse() : shape);
  const { shape } = found[0]!;
  const [outputs = 0, embedDim = 0] = turned(shape);
  const heads = numHeads * layout.tensors[names[0]!]!.length; // query, key and value heads where they are stacked
  const headDim = outputs / heads;
  if (shape.length !== 2 || embedDim === 0 || headDim === 0 || !Number.isInteger(headDim))
    throw invalidShape(prefix + names[0], `[${turned([`${heads} * D`, "E"]).join(", ")}]`, shape);
  const config = {
    embedDim,
    numHeads,
    ...(numKvHeads !== numHeads && { numKvHeads }),
    headDim,
    // Not 0, nor of a vector: refused below.
    ...(isSeparate && { keyDim: found[1]!.shape[1] || undefined, valueDim: found[2]!.shape[1] || undefined }),
    bias,
  };
  const parameters: Parameters = {};
  for (const [n, { name, parts, shape }] of tensorsOf(layout, resolveConfig(config)).entries()) {
    const tensor = found[n]!;
    refuseOtherShape(tensor, prefix + name, shape);
    const data = layout.transposed ? transpose(tensor.data, shape[0]!) : tensor.data;
    let end = 0;
    for (const part of parts) {
      parameters[part.name] = { data: data.subarray(end, (end += product(part.shape))), shape: part.shape };
    }
  }
  return { config, parameters };
}
