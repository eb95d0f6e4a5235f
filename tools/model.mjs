// Turns the published model (tools/encoder.mjs) into what the page loads: in web/public/model, first.safetensors has what the first layer's
// attention needs, rest.safetensors the rest, tokenizer.json the vocabulary. Does nothing if all are newer than their sources.
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { encoderFiles, readEncoder } from "./encoder.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "web/public/model");
const scratch = join(root, `build/model-${process.pid}`); // not in public/, where files of an interrupted run would be served

/** So many numbers of a row share a scale. */
const BLOCK = 64;
const FIRST = /^(embedding$|timing|layers\.0\.(norm1|attention))/;
/** So many pieces of the vocabulary, which begins with the most frequent, are in the first file. */
const FIRST_PIECES = 5000;

const own = ["model.mjs", "encoder.mjs"].map((name) => join(root, "tools", name));
const outputs = ["first.safetensors", "rest.safetensors", "tokenizer.json"];

if (await isUpToDate([...own, ...(await encoderFiles())])) {
  console.log("model: up to date");
} else {
  const { tensors, metadata, vocabulary } = await readEncoder();
  const { embedding } = tensors;
  const width = embedding.shape[1];
  const rows = (from, to) => ({ data: embedding.data.subarray(from * width, to * width), shape: [to - from, width] });
  tensors.embedding = rows(0, FIRST_PIECES);
  tensors["embedding.rest"] = rows(FIRST_PIECES, embedding.shape[0]);
  const changes = `q | k | v split, kernels transposed to [out, in], matrices as int8 with a scale for each ${BLOCK} inputs`;
  const of = (isFirst) =>
    safetensors(
      Object.entries(tensors).filter(([name]) => FIRST.test(name) === isFirst),
      { ...metadata, changes },
    );
  const contents = [of(true), of(false), Buffer.from(JSON.stringify(vocabulary))];
  await rm(target, { recursive: true, force: true }); // files of earlier versions would be served
  await mkdir(target, { recursive: true });
  await mkdir(scratch, { recursive: true });
  try {
    for (const [i, bytes] of contents.entries()) {
      await writeFile(join(scratch, outputs[i]), bytes);
      await rename(join(scratch, outputs[i]), join(target, outputs[i])); // writes a whole file or none
      console.log(`model: ${outputs[i]}, ${(bytes.length / 1e6).toFixed(1)} MB`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function isUpToDate(inputs) {
  const modified = async (path) => (await stat(path)).mtimeMs;
  const newestInput = Math.max(...(await Promise.all(inputs.map(modified))));
  const written = outputs.map((name) => modified(join(target, name)).catch(() => -Infinity));
  return Math.min(...(await Promise.all(written))) >= newestInput;
}

/** A safetensors file: vectors as F32, matrices as I8 with their scales as F32, named `<matrix>_scale`, [rows, blocks]. */
function safetensors(entries, metadata) {
  const all = entries.flatMap(([name, tensor]) => {
    if (tensor.shape.length === 1) return [[name, "F32", tensor]];
    const { integers, scales } = quantized(tensor, BLOCK);
    return [
      [name, "I8", integers],
      [`${name}_scale`, "F32", scales],
    ];
  });
  all.sort(([, a], [, b]) => a.localeCompare(b)); // F32 first: aligned to four bytes
  const header = { __metadata__: metadata };
  let end = 0;
  for (const [name, dtype, { data, shape }] of all) {
    header[name] = { dtype, shape, data_offsets: [end, (end += data.byteLength)] };
  }
  const json = JSON.stringify(header);
  const padded = Buffer.from(json.padEnd(Math.ceil(Buffer.byteLength(json) / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const data = all.map(([, , { data }]) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return Buffer.concat([length, padded, ...data]);
}

/** Symmetric: the largest of a block is ±127. */
function quantized({ data, shape }, block) {
  const scales = new Float32Array(data.length / block);
  const integers = new Int8Array(data.length);
  for (let b = 0; b < scales.length; b++) {
    const values = data.subarray(b * block, (b + 1) * block);
    scales[b] = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    integers.set(
      values.map((value) => Math.round(value / scales[b] || 0)),
      b * block,
    );
  }
  return { integers: { data: integers, shape }, scales: { data: scales, shape: [shape[0], shape[1] / block] } };
}
