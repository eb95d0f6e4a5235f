/** Transformers as safetensors files: parameters by their names, configuration and head gates in the metadata. */
import type { Bytes } from "../base/types.js";
import { checkOptions } from "../base/checks.js";
import { writeSafetensors } from "../files/safetensors.js";
import type { SaveOptions, Transformer } from "./types.js";

/** In the metadata: what tells a saved transformer from other files. */
export const format = "headwise.transformer";

export function saveTransformer(model: Transformer, optionsLike: SaveOptions | undefined): Bytes {
  const { dtype } = checkOptions(optionsLike, "save", ["dtype"]);
  const gates = model.config.heads.map((_, n) => [...model.attention(n).headGates]);
  return writeSafetensors(model.parameters(), {
    ...(dtype !== undefined && { dtype }),
    metadata: { format, config: JSON.stringify(model.config), head_gates: JSON.stringify(gates) },
  });
}
