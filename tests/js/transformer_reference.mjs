// The oracle of transformers and of their optimizer, on that of the attention module.
import { linear, multiHeadAttention, product } from "./reference.mjs";

function norm(x, { norm: kind, normEpsilon }, weight, bias, round) {
  const width = weight.data.length;
  const data = new Float64Array(x.data.length);
  for (let row = 0; row < data.length; row += width) {
    const values = [...x.data.subarray(row, row + width)];
    const mean = kind === "layer" ? round(values.reduce((sum, v) => sum + v, 0) / width) : 0;
    const square = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width;
    const root = round(Math.sqrt(round(square + normEpsilon)));
    values.forEach((v, n) => {
      data[row + n] = round(round(round(v - mean) / root) * weight.data[n] + (bias?.data[n] ?? 0));
    });
  }
  return { data, shape: x.shape };
}

const activate = {
  relu: (x) => Math.max(x, 0),
  gelu: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  "silu-gated": (x) => x / (1 + Math.exp(-x)),
};

function add(x, y, round) {
  return { data: x.data.map((value, n) => round(value + y.data[n])), shape: x.shape };
}

/** The configuration of a layer's module; the heads that are left read the key/value heads that they read at first. */
function moduleConfig({ numHeads, numKvHeads, headDim, positions, rope }, heads) {
  const first = heads.map((h) => Math.floor((h * numKvHeads) / numHeads));
  const left = [...new Set(first)];
  return {
    numHeads: heads.length,
    numKvHeads: left.length,
    headGroups: first.map((g) => left.indexOf(g)),
    scale: 1 / Math.sqrt(headDim),
    softcap: 0,
    alibi: positions === "alibi",
    rope,
  };
}

/** Logits [B, L, V] and each layer's weights, of tokens { data, shape: [B, L] }. `gates`: of each layer, or none. */
export function transformer(config, parameters, tokens, gates, round = (v) => v) {
  const [B, L] = tokens.shape;
  const { embedDim: E, numHeads: H } = config;
  const parameter = (name) => ({ weight: parameters[`${name}.weight`], bias: parameters[`${name}.bias`] });
  const data = new Float64Array(B * L * E);
  for (let row = 0; row < B * L; ++row)
    for (let e = 0; e < E; ++e) {
      let value = parameters["embedding.weight"].data[tokens.data[row] * E + e];
      if (config.positions === "learned") value += parameters["positions.weight"].data[(row % L) * E + e];
      if (config.positions === "sinusoidal") {
        const angle = (row % L) / 10000 ** ((e - (e % 2)) / E);
        value = round(value * Math.sqrt(E)) + (e % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
      }
      data[row * E + e] = round(value);
    }
  let x = { data, shape: [B, L, E] };
  const slopes = Array.from({ length: H }, (_, h) => 2 ** ((-8 * (h + 1)) / H)); // for a power of two
  const weights = [];
  const normed = (name) => norm(x, config, parameter(name).weight, parameter(name).bias, round);
  for (let n = 0; n < config.layers; ++n) {
    const name = `layers.${n}`;
    const own = Object.fromEntries(
      Object.entries(parameters).flatMap(([key, value]) =>
        key.startsWith(`${name}.attention.`) ? [[key.slice(`${name}.attention.`.length), value]] : [],
      ),
    );
    const heads = config.heads[n];
    const input = normed(`${name}.norm1`);
    if (heads.length === 0) {
      const bias = own["out_proj.bias"]?.data;
      const output = input.data.map((_, at) => bias?.[at % E] ?? 0);
      x = add(x, { data: output }, round);
    } else {
      const options = { causal: config.causal, slopes: heads.map((h) => slopes[h]), headGates: gates?.[n] };
      const result = multiHeadAttention(moduleConfig(config, heads), own, input, input, input, options, round);
      weights.push(result.weights);
      x = add(x, result.output, round);
    }
    if (config.feedForwardDim === 0) continue;
    const project = (part, from) => {
      const { weight, bias } = parameter(`${name}.feed_forward.${part}`);
      return linear(from, weight, bias, round);
    };
    const inner = normed(`${name}.norm2`);
    const f = (v) => round(activate[config.activation](v));
    let hidden = project("up", inner);
    if (config.activation === "silu-gated") {
      const gate = project("gate", inner);
      hidden = { ...hidden, data: hidden.data.map((v, at) => round(v * f(gate.data[at]))) };
    } else hidden = { ...hidden, data: hidden.data.map(f) };
    x = add(x, project("down", hidden), round);
  }
  const head = config.tieEmbeddings ? parameters["embedding.weight"] : parameters["head.weight"];
  return { logits: linear(normed("norm"), head, undefined, round), weights };
}

/** Mean cross-entropy and accuracy of the targets that are not -1. */
export function measure({ data, shape }, targets) {
  const V = shape.at(-1);
  let [loss, correct, count] = [0, 0, 0];
  targets.forEach((target, row) => {
    if (target === -1) return;
    const logits = data.subarray(row * V, (row + 1) * V);
    const largest = Math.max(...logits);
    loss += Math.log(logits.reduce((sum, v) => sum + Math.exp(v - largest), 0)) + largest - logits[target];
    correct += logits.indexOf(largest) === target;
    ++count;
  });
  return { loss: count === 0 ? 0 : loss / count, accuracy: count === 0 ? 0 : correct / count, count };
}

/** AdamW in double precision: step(parameters, gradients) changes parameters { name: { data, shape } }. */
export function adamW({
  lr,
  betas = [0.9, 0.999],
  eps = 1e-8,
  weightDecay = 0.01,
  clipNorm,
  warmupSteps = 0,
  totalSteps,
}) {
  const moments = new Map();
  let steps = 0;
  return (parameters, gradients) => {
    const squares = Object.keys(parameters).flatMap((name) => [...gradients[name].data].map((g) => g * g));
    const gradientNorm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    const scale = clipNorm !== undefined && gradientNorm > clipNorm ? clipNorm / gradientNorm : 1;
    let rate = lr;
    if (steps < warmupSteps) rate = (lr * (steps + 1)) / warmupSteps;
    else if (totalSteps !== undefined) {
      const done = Math.min((steps - warmupSteps) / (totalSteps - warmupSteps), 1);
      rate = lr * 0.5 * (1 + Math.cos(Math.PI * done));
    }
    ++steps;
    for (const [name, { data, shape }] of Object.entries(parameters)) {
      const [m, v] = moments.get(name) ?? [new Float64Array(product(shape)), new Float64Array(product(shape))];
      moments.set(name, [m, v]);
      data.forEach((value, n) => {
        const g = gradients[name].data[n] * scale;
        m[n] = betas[0] * m[n] + (1 - betas[0]) * g;
        v[n] = betas[1] * v[n] + (1 - betas[1]) * g * g;
        const change = m[n] / (1 - betas[0] ** steps) / (Math.sqrt(v[n] / (1 - betas[1] ** steps)) + eps);
        data[n] = value - rate * (change + (shape.length > 1 ? weightDecay * value : 0));
      });
    }
    return { gradientNorm, learningRate: rate };
  };
}
