/** Transformers as safetensors files: parameters by their names, configuration and head gates in the metadata. */
import { oneOf } from "../base/checks.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Bytes } from "../base/types.js";
import { fileTypes, writeSafetensors } from "../files/safetensors.js";
import type { AnyTransformer, SaveOptions } from "./types.js";

/** In the metadata: what tells a saved transformer from other files. */
export const format = "headwise.transformer";

const optionTable = { dtype: withDefault(oneOf(fileTypes), "F32") } satisfies OptionTable<SaveOptions>;

export function saveTransformer(model: AnyTransformer, optionsLike: SaveOptions | undefined): Bytes {
  const { dtype } = readOptions(optionsLike, "save", optionTable);
  const gates = model.config.heads.map((_, n) => [...model.attention(n).headGates]);
  return writeSafetensors(model.parameters(), {
    dtype,
    metadata: { format, config: JSON.stringify(model.config), head_gates: JSON.stringify(gates) },
  });
}
