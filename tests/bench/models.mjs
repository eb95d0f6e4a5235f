// The whole models that are measured: shapes of published ones, with random parameters.
import { instance } from "./contenders/headwise.mjs";
import { normals } from "./inputs.mjs";

const bert = {
  ...{ vocabSize: 30_522, contextLength: 512, causal: false, head: false },
  ...{ normPlacement: "after", normEpsilon: 1e-12, embeddingNorm: true, tokenTypes: 2, activation: "gelu-erf" },
};
const llama = {
  ...{ norm: "rms", normEpsilon: 1e-5, activation: "silu", gated: true },
  ...{ positions: "rotary", rope: { base: 100_000 } },
};
const configs = {
  tinyBert: { ...bert, vocabSize: 96, contextLength: 32, layers: 2, embedDim: 64, feedForwardDim: 128, numHeads: 4 },
  minilm: { ...bert, layers: 6, embedDim: 384, feedForwardDim: 1536, numHeads: 12 },
  bertBase: { ...bert, layers: 12, embedDim: 768, feedForwardDim: 3072, numHeads: 12 },
  tinyLlama: {
    ...{ ...llama, vocabSize: 96, contextLength: 64, layers: 2, embedDim: 64, feedForwardDim: 128 },
    ...{ numHeads: 4, numKvHeads: 2 },
  },
  smollm2: {
    ...{ ...llama, vocabSize: 49_152, contextLength: 2048, layers: 30, embedDim: 576, feedForwardDim: 1536 },
    ...{ numHeads: 9, numKvHeads: 3 },
  },
};

/**
 * L tokens go in, behind P tokens in a key/value cache. Encoders give hidden states, decoders the last token's logits. `ort` is the
 * least ratio to onnxruntime-web in F32, with one thread and the relaxed build.
 */
export const models = [
  { name: "tiny-encoder", config: configs.tinyBert, L: 16, P: 0 },
  { name: "tiny-decoder", config: configs.tinyLlama, L: 1, P: 16 },
  { name: "tiny-prefill", config: configs.tinyLlama, L: 16, P: 0 },
  { name: "minilm-l6-32", config: configs.minilm, L: 32, P: 0, ort: 1.5 },
  { name: "minilm-l6-128", config: configs.minilm, L: 128, P: 0, ort: 1.7 },
  { name: "bert-base-128", config: configs.bertBase, L: 128, P: 0, ort: 1.5 },
  { name: "smollm2-prefill", config: configs.smollm2, L: 128, P: 0 },
  { name: "smollm2-decode", config: configs.smollm2, L: 1, P: 256, ort: 2 },
];

export const isDecoder = ({ config }) => config.causal !== false;

/** "6 layers, E384 F1536 H12, 128 tokens", "… H9/3, 1 token after 256". */
export function describe({ config, L, P }) {
  const { layers, embedDim, feedForwardDim, numHeads, numKvHeads } = config;
  const heads = numKvHeads === undefined ? numHeads : `${numHeads}/${numKvHeads}`;
  const tokens = P > 0 ? `1 token after ${P}` : `${L} tokens`;
  return `${layers} layers, E${embedDim} F${feedForwardDim} H${heads}, ${tokens}`;
}

const largest = (logits) => logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit)));

/** tokens [P + L]; parameters by name, { data, shape }: initial matrices, norms near 1 and biases near 0; and what a result must be. */
export async function makeModelInputs(row, { folders, simd, threads }) {
  const { config, L, P } = row;
  const hw = await instance({ folder: folders.headwise, simd, threads: threads[0] });
  const model = hw.transformer(config);
  const parameters = model.parameters();
  for (const [n, [name, { data, shape }]] of Object.entries(parameters).entries()) {
    if (shape.length > 1) continue;
    const middle = name.endsWith(".bias") ? 0 : 1;
    data.set(normals(n, data.length, 0.1).map((value) => value + middle));
  }
  model.setParameters(parameters);
  const tokens = Int32Array.from({ length: P + L }, (_, n) => (7919 * n + 13) % config.vocabSize);
  // After a cache the token comes that a generator would choose.
  if (P > 0) tokens[P] = largest(model.forward(tokens.subarray(0, P), { logits: "last" }).logits.data);
  const { logits, hidden } = model.forward(tokens, { logits: isDecoder(row) ? "last" : "none" });
  model.dispose();
  return { tokens, parameters, reference: (logits ?? hidden).data };
}

/**
 * Largest difference of a result from the reference, relative to the reference's largest value. A number is the token that was
 * chosen by the logits.
 */
export function modelError(result, reference) {
  if (typeof result === "number") return result === largest(reference) ? 0 : Infinity;
  if (result.length !== reference.length) return Infinity;
  let [difference, most] = [0, 0];
  for (const [n, value] of reference.entries()) {
    const d = Math.abs(result[n] - value);
    difference = d <= difference ? difference : d; // NaN, too, is a difference
    most = Math.max(most, Math.abs(value));
  }
  return Number.isNaN(difference) ? Infinity : difference / most;
}
