/** Reads a transformer from the bytes of `saveTransformer`. */
import { HeadwiseError } from "../base/errors.js";
import type { Instance } from "../runtime/instance.js";
import { parseJson } from "../files/json.js";
import { openSafetensors } from "../files/safetensors.js";
import { invalidFile } from "../files/safetensors_header.js";
import type { Safetensors } from "../files/types.js";
import { product, sameShape } from "../base/tensor.js";
import { resolveTransformerConfig } from "./config.js";
import { setInt8 } from "./int8.js";
import { eachTransformerParameter } from "./native_config.js";
import { format } from "./save.js";
import { emptyTransformer } from "./transformer.js";
import type { ResolvedTransformerConfig, Transformer } from "./types.js";

/** Runs a check of another function. Its error becomes `invalid-file`. */
function inFile<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof HeadwiseError && !["invalid-option", "invalid-shape"].includes(error.code)) throw error;
    throw invalidFile(`${what}: ${(error as Error).message}`, error);
  }
}

/**
 * A text of the metadata, as JSON. Parsing takes several times the text's size, so a text that is far longer than the
 * file's tensors is refused: for each head, which has two numbers there at least, it has one gate and one index.
 */
function metadataJson(
  { metadata, names, info }: Safetensors,
  key: string,
  brackets: string | readonly string[],
): unknown {
  const text = metadata[key] ?? "";
  const floats = names.reduce((count, name) => count + product(info(name).shape), 0);
  const longest = 10_000 + 20 * floats;
  if (text.length > longest)
    throw invalidFile(`${key}: expected at most ${longest} characters beside ${floats} floats, got ${text.length}`);
  return parseJson(text, brackets, (message) => invalidFile(`${key} ${message}`));
}

/** What the file says of the model. Every tensor that the configuration tells of has been found, with its shape. */
function readModel(file: Safetensors): { config: ResolvedTransformerConfig; gates: readonly number[][] } {
  if (file.metadata.format !== format)
    throw invalidFile(`its metadata says no format ${format}: it is no saved transformer`);
  const given = metadataJson(file, "config", ["{", "[{", "[{", "{", "{"]);
  const config = inFile("config", () => resolveTransformerConfig(given as ResolvedTransformerConfig));
  // One after the other, so that a configuration that is larger than the file is refused at the first that is missing.
  for (const { name, shape } of eachTransformerParameter(config)) {
    const found = inFile(name, () => file.info(name)).shape;
    if (!sameShape(found, shape))
      throw invalidFile(`tensor ${name}: expected shape [${shape.join(", ")}], got [${found.join(", ")}]`);
  }
  const gates = metadataJson(file, "head_gates", "[[");
  const sound = (layer: unknown, n: number) =>
    Array.isArray(layer) && layer.length === config.heads[n]!.length && layer.every((gate) => typeof gate === "number");
  if (!Array.isArray(gates) || gates.length !== config.layers || !gates.every(sound))
    throw invalidFile("head_gates: expected a gate for each head of each layer");
  return { config, gates: gates as number[][] };
}

export function loadTransformer(instance: Instance, bytes: ArrayBuffer | Uint8Array): Transformer {
  const file = openSafetensors(bytes);
  const { config, gates } = readModel(file);
  const model = emptyTransformer(instance, config);
  try {
    inFile("tensors", () => {
      const floats = setInt8(model, file);
      model.setParameters(Object.fromEntries(floats.map((name) => [name, file.tensor(name)])));
    });
    inFile("head_gates", () => gates.forEach((layer, n) => model.attention(n).setHeadGates(Float32Array.from(layer))));
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}
