// Small model files for tests, and what tests do with them.
import assert from "node:assert/strict";

import { tensor, writeSafetensors } from "../../dist/index.js";
import { host } from "./host.mjs";
import { importInternal } from "./internal.mjs";

export const { clearCache, isCached, openFiles } = await importInternal("files/model_files.ts");
export const { resolveSource } = await importInternal("files/sources.ts");

export const ramp = (length, first) => Float32Array.from({ length }, (_, n) => first + n);
export const config = Buffer.from('{"model_type":"test"}');
/** Tensors of 400 KB together: several windows and chunks. */
export const tensors = {
  "a.weight": tensor(ramp(60_000, 1), [300, 200]),
  "a.bias": tensor(ramp(3, 7), [3]),
  none: tensor(new Float32Array(0), [0, 4]),
  "b.weight": tensor(ramp(40_000, -5), [40_000]),
};
export const weights = Buffer.from(writeSafetensors(tensors, { metadata: { format: "pt" } }));
export const model = { "config.json": config, "model.safetensors": weights };

export const shards = {
  "model-1-of-2.safetensors": Buffer.from(writeSafetensors({ one: tensors["a.weight"], two: tensors["a.bias"] })),
  "model-2-of-2.safetensors": Buffer.from(writeSafetensors({ three: tensors["b.weight"] })),
};
export const indexOf = (map) => Buffer.from(JSON.stringify({ metadata: {}, weight_map: map }));
export const [one, two] = Object.keys(shards);
export const index = { "model.safetensors.index.json": indexOf({ one: one, two: one, three: two }) };

/** Reads all tensors as floats. */
export async function readAll(source, options) {
  const opened = await openFiles(resolveSource(source), options).weights();
  const read = {};
  for await (const tensor of opened.stream()) {
    read[tensor.name] = { data: (await tensor.floats()).slice(), shape: tensor.shape };
  }
  return read;
}

export const rejects = (promise, code, message) =>
  assert.rejects(promise, (error) => {
    assert.deepEqual([error.name, error.code], ["HeadwiseError", code], error.stack);
    assert.match(error.message, message);
    return true;
  });

export async function withHost(files, work) {
  const server = await host(files);
  try {
    return await work(server.url, server.requests);
  } finally {
    await server.close();
  }
}
