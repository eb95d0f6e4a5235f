/** Reads what `saveTransformer` has written. */
import { HeadwiseError } from "../base/errors.js";
import type { Instance } from "../runtime/instance.js";
import { readSafetensors } from "../files/safetensors.js";
import { invalidFile } from "../files/safetensors_header.js";
import { sameShape } from "../base/tensor.js";
import { resolveTransformerConfig, transformerParameters } from "./config.js";
import { format } from "./save.js";
import { makeTransformer } from "./transformer.js";
import type { ResolvedTransformerConfig, Transformer } from "./types.js";

/** Something of the file that another function checks: whatever it refuses is wrong with the file. */
function inFile<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof HeadwiseError && !["invalid-option", "invalid-shape"].includes(error.code)) throw error;
    throw invalidFile(`${what}: ${(error as Error).message}`, error);
  }
}

export function loadTransformer(instance: Instance, bytes: ArrayBuffer | Uint8Array): Transformer {
  instance.checkAlive();
  const file = readSafetensors(bytes);
  const { metadata } = file;
  if (metadata.format !== format)
    throw invalidFile(`its metadata says no format ${format}: it is no saved transformer`);
  const config = inFile("config", () =>
    resolveTransformerConfig(JSON.parse(metadata.config ?? "") as ResolvedTransformerConfig),
  );
  const gates = inFile("head_gates", () => JSON.parse(metadata.head_gates ?? "") as number[][]);
  for (const { name, shape } of transformerParameters(config)) {
    const found = inFile(name, () => file.info(name)).shape;
    if (!sameShape(found, shape))
      throw invalidFile(`tensor ${name}: expected shape [${shape.join(", ")}], got [${found.join(", ")}]`);
  }
  const model = makeTransformer(instance, config);
  try {
    inFile("tensors", () =>
      model.setParameters(Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]))),
    );
    inFile("head_gates", () =>
      config.heads.forEach((_, n) => model.attention(n).setHeadGates(Float32Array.from(gates[n]!))),
    );
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}
