/** Opened models as files: the family's own names and config.json. */
import { encodeUtf8 } from "../base/utf8.js";
import { oneOf } from "../base/checks.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import { HeadwiseError } from "../base/errors.js";
import { fileTypes, writeTensors } from "../files/safetensors.js";
import type { Parameter } from "../module/config.js";
import { inInt8, type Int8OrFloats } from "../transformer/int8.js";
import type { AnyTransformer } from "../transformer/types.js";
import type { SavedModel, SaveModelOptions } from "./opened_types.js";
import { tensorsOfModel } from "./place_parameters.js";
import { prunedKeys, writePruned } from "./pruned_heads.js";
import { placementsIn, type Published } from "./published.js";

/** The type in a file, as config.json calls it. */
const dtypes = { F32: "float32", F16: "float16", BF16: "bfloat16", I8: "float32" } as const;

const optionTable = {
  dtype: withDefault(oneOf([...fileTypes, "I8"]), "F32"),
} satisfies OptionTable<SaveModelOptions>;

/** config.json, with what differs of the model in it. */
function configOf(
  { config: { heads, numHeads, numKvHeads, contextLength } }: AnyTransformer,
  { family, config, name }: Published,
  dtype: keyof typeof dtypes,
): Record<string, unknown> {
  const values = { ...config.values };
  for (const name of ["dtype", "torch_dtype"]) if (name in values) values[name] = dtypes[dtype];
  for (const name of prunedKeys) delete values[name];
  const pruned = writePruned(heads, numHeads);
  if (pruned !== undefined) values[prunedKeys[family.prunes ? 0 : 1]] = pruned;
  if (family.groupsOption !== undefined) values[family.groupsOption] = numKvHeads;
  else if (numKvHeads !== numHeads)
    throw new HeadwiseError("unsupported", `save: ${name}'s files have no place for fewer key/value heads than heads`);
  if (family.positionsOption !== undefined) values[family.positionsOption] = contextLength;
  return values;
}

export function saveModel(
  model: AnyTransformer,
  published: Published,
  optionsLike: SaveModelOptions | undefined,
): SavedModel {
  const { dtype } = readOptions(optionsLike, "save", optionTable);
  const gated = model.config.heads.findIndex((_, n) => model.attention(n).headGates.some((gate) => gate !== 1));
  if (gated >= 0) {
    const message = `save: layer ${gated} has head gates other than 1, for which ${published.name}'s files have no place`;
    throw new HeadwiseError("invalid-option", message);
  }
  const write = (parameters: (parameter: Parameter) => Int8OrFloats): SavedModel => {
    const config = configOf(model, published, dtype);
    const tensors = tensorsOfModel(placementsIn(published, model.config), model.config, parameters);
    return {
      "config.json": encodeUtf8(`${JSON.stringify(config, null, 2)}\n`),
      "model.safetensors": writeTensors(tensors, dtype === "I8" ? "F32" : dtype, { format: "pt" }),
    };
  };
  if (dtype === "I8") return inInt8(model, write);
  const parameters = model.parameters();
  return write(({ name }) => parameters[name]!);
}
