// The oracle of the JavaScript tests: attention and the module computed naively, in double and in single precision.

/** Numbers in [-1, 1) from a seed (mulberry32); the same everywhere. */
export function randomFloats(count, seed) {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}

export const product = (shape) => shape.reduce((count, extent) => count * extent, 1);

/** A random tensor. */
export const random = (shape, seed) => ({ data: randomFloats(product(shape), seed), shape });

/** A function (b, h, i, j) from a mask { data, shape } that broadcasts to [B, H, L, S]: what it adds to the score. */
export function biasOf(mask) {
  if (mask === undefined) return () => 0;
  const extents = [...Array(4 - mask.shape.length).fill(1), ...mask.shape];
  const strides = extents.map((extent, axis) => (extent === 1 ? 0 : product(extents.slice(axis + 1))));
  return (...index) => {
    const value = mask.data[index.reduce((at, n, axis) => at + n * strides[axis], 0)];
    return mask.data instanceof Float32Array ? value : Number(value) === 0 ? -Infinity : 0;
  };
}

/**
 * Attention of heads as [B, H, L, D], [B, H, S, D], [B, H, S, Dv]: output [B, H, L, Dv] and weights [B, H, L, S].
 * `round` is Math.fround for single precision, or the identity.
 */
export function attention(query, key, value, options = {}, round = (x) => x) {
  const [B, H, L, D] = query.shape;
  const [S, Dv] = [key.shape[2], value.shape[3]];
  const { causal = false, offset = 0, keyLengths, headGates, scale = 1 / Math.sqrt(D) } = options;
  const bias = biasOf(options.mask);
  const output = { data: new Float64Array(B * H * L * Dv), shape: [B, H, L, Dv] };
  const weights = { data: new Float64Array(B * H * L * S), shape: [B, H, L, S] };
  const dot = (a, aStart, b, bStart, count) => {
    let sum = 0;
    for (let n = 0; n < count; ++n) sum = round(sum + round(a[aStart + n] * b[bStart + n]));
    return sum;
  };
  for (let b = 0; b < B; ++b)
    for (let h = 0; h < H; ++h)
      for (let i = 0; i < L; ++i) {
        const head = b * H + h;
        const row = weights.data.subarray((head * L + i) * S, (head * L + i + 1) * S);
        const visible = [];
        for (let j = 0; j < S; ++j) {
          const added = bias(b, h, i, j);
          if ((causal && j > i + offset) || (keyLengths && j >= keyLengths[b]) || added === -Infinity) continue;
          visible.push(j);
          row[j] = round(round(dot(query.data, (head * L + i) * D, key.data, (head * S + j) * D, D) * scale) + added);
        }
        const maximum = Math.max(...visible.map((j) => row[j]));
        let sum = 0;
        for (const j of visible) sum = round(sum + (row[j] = round(Math.exp(row[j] - maximum))));
        for (const j of visible) {
          row[j] = round(row[j] / sum);
          for (let n = 0; n < Dv; ++n) {
            const at = (head * L + i) * Dv + n;
            output.data[at] = round(output.data[at] + round(row[j] * value.data[(head * S + j) * Dv + n]));
          }
        }
        if (headGates) for (let n = 0; n < Dv; ++n) output.data[(head * L + i) * Dv + n] *= headGates[h];
      }
  return { output, weights };
}

/** [B, L, H*D] as [B, H, L, D], and back. */
export function splitHeads({ data, shape: [B, L, width] }, H) {
  const D = width / H;
  const split = new data.constructor(data.length);
  for (let b = 0; b < B; ++b)
    for (let i = 0; i < L; ++i)
      for (let h = 0; h < H; ++h)
        for (let d = 0; d < D; ++d) split[((b * H + h) * L + i) * D + d] = data[(b * L + i) * width + h * D + d];
  return { data: split, shape: [B, H, L, D] };
}
export function mergeHeads({ data, shape: [B, H, L, D] }) {
  const merged = new data.constructor(data.length);
  for (let b = 0; b < B; ++b)
    for (let i = 0; i < L; ++i)
      for (let h = 0; h < H; ++h)
        for (let d = 0; d < D; ++d) merged[((b * L + i) * H + h) * D + d] = data[((b * H + h) * L + i) * D + d];
  return { data: merged, shape: [B, L, H * D] };
}

/** x Wᵀ + b over the last axis. */
export function linear(x, weight, bias, round = (v) => v) {
  const [outputs, inputs] = weight.shape;
  const rows = product(x.shape.slice(0, -1));
  const data = new Float64Array(rows * outputs);
  for (let i = 0; i < rows; ++i)
    for (let n = 0; n < outputs; ++n) {
      let sum = bias ? bias.data[n] : 0;
      for (let k = 0; k < inputs; ++k) sum = round(sum + round(x.data[i * inputs + k] * weight.data[n * inputs + k]));
      data[i * outputs + n] = sum;
    }
  return { data, shape: [...x.shape.slice(0, -1), outputs] };
}

/** The whole module on [B, L, E], [B, S, keyDim], [B, S, valueDim]. */
export function multiHeadAttention(config, parameters, query, key, value, options = {}, round = (v) => v) {
  const project = (name, x) => linear(x, parameters[`${name}.weight`], parameters[`${name}.bias`], round);
  const split = (name, x) => splitHeads(project(name, x), config.numHeads);
  const heads = attention(
    split("q_proj", query),
    split("k_proj", key),
    split("v_proj", value),
    { ...options, scale: config.scale },
    round,
  );
  return { output: project("out_proj", mergeHeads(heads.output)), weights: heads.weights };
}

/** The largest difference, and whether it is within twice the naive single-precision error (DESIGN.md, section 4). */
export function compare(ours, exact, naive) {
  let [error, naiveError, largest] = [0, 0, 1];
  for (let n = 0; n < exact.data.length; ++n) {
    if (!(Math.abs(ours.data[n] - exact.data[n]) >= 0)) return { error: NaN, allowed: 0, close: false };
    error = Math.max(error, Math.abs(ours.data[n] - exact.data[n]));
    naiveError = Math.max(naiveError, Math.abs(naive.data[n] - exact.data[n]));
    largest = Math.max(largest, Math.abs(exact.data[n]));
  }
  const allowed = 2 * naiveError + 1e-6 * largest;
  return { error, allowed, close: error <= allowed };
}
