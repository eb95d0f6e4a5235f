/** Transformers as safetensors files: parameters by their names, configuration and head gates in the metadata. */
import { oneOf } from "../base/checks.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Bytes } from "../base/types.js";
import { fileTypes, writeSafetensors, writeTensors } from "../files/safetensors.js";
import { int8Tensors } from "./int8.js";
import type { AnyTransformer, SaveOptions } from "./types.js";

/** In the metadata: what tells a saved transformer from other files. */
export const format = "headwise.transformer";

const optionTable = { dtype: withDefault(oneOf([...fileTypes, "I8"]), "F32") } satisfies OptionTable<SaveOptions>;

export function saveTransformer(model: AnyTransformer, optionsLike: SaveOptions | undefined): Bytes {
  const { dtype } = readOptions(optionsLike, "save", optionTable);
  const gates = model.config.heads.map((_, n) => [...model.attention(n).headGates]);
  const config = dtype === "I8" ? { ...model.config, dtype: "int8" } : model.config;
  const metadata = { format, config: JSON.stringify(config), head_gates: JSON.stringify(gates) };
  if (dtype === "I8") return writeTensors(int8Tensors(model), "F32", metadata);
  return writeSafetensors(model.parameters(), { dtype, metadata });
}
