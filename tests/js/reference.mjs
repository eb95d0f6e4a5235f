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

/**
 * A function (b, h, i, j) from a mask { data, shape } that broadcasts to [B, H, L, S]: what it adds to the score. A last
 * axis of 2 … S - 1 masks the keys beyond it.
 */
export function biasOf(mask) {
  if (mask === undefined) return () => 0;
  if (typeof mask === "function") return mask;
  const extents = [...Array(4 - mask.shape.length).fill(1), ...mask.shape];
  const strides = extents.map((extent, axis) => (extent === 1 ? 0 : product(extents.slice(axis + 1))));
  return (...index) => {
    if (extents[3] !== 1 && index[3] >= extents[3]) return -Infinity;
    const value = mask.data[index.reduce((at, n, axis) => at + n * strides[axis], 0)];
    return mask.data instanceof Float32Array ? value : Number(value) === 0 ? -Infinity : 0;
  };
}

/** Whether query i of batch row b sees key j, by all options but the mask. */
export function sees({ causal = false, window = {}, offset = 0, keyLengths, keyMask }, b, i, j) {
  const distance = i + (typeof offset === "number" ? offset : offset[b]) - j; // to the left
  if (causal && distance < 0) return false;
  if (distance > (window.left ?? Infinity) || -distance > (window.right ?? Infinity)) return false;
  if (keyMask !== undefined) {
    const [S, rows = 1] = [...keyMask.shape].reverse();
    if (Number(keyMask.data[(rows === 1 ? 0 : b) * S + j]) === 0) return false;
  }
  return keyLengths === undefined || j < keyLengths[b];
}

/** [B, G, P, width] and [B, G, N, width], one behind the other. */
export function concatenate(past, fresh) {
  const [B, G, N, width] = fresh.shape;
  const P = past.shape[2];
  const data = new Float32Array(B * G * (P + N) * width);
  for (let head = 0; head < B * G; ++head) {
    const at = head * (P + N) * width;
    data.set(past.data.subarray(head * P * width, (head + 1) * P * width), at);
    data.set(fresh.data.subarray(head * N * width, (head + 1) * N * width), at + P * width);
  }
  return { data, shape: [B, G, P + N, width] };
}

/**
 * A function (b, h, i, j): what dropout multiplies a weight with, 0 or 1 / (1 - rate). A weight is left out where the hash
 * of its place (MurmurHash3's finalizer, one index after the other) is below the rate.
 */
export function dropoutFactor({ rate, seed }) {
  const mix = (x) => {
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  };
  return (...index) => {
    const hash = index.reduce((key, n) => mix((key + Math.imul(n, 0x9e3779b9)) | 0), seed);
    return (hash >>> 8) / 2 ** 24 < Math.fround(rate) ? 0 : 1 / (1 - Math.fround(rate));
  };
}

/**
 * Attention of heads as [B, H, L, D], [B, G, N, D], [B, G, N, Dv]: output [B, H, L, Dv] and weights [B, H, L, S] at the
 * stage that `options.return` names (probabilities); `options.dropout` is { rate, seed }. `round` is Math.fround for single precision, or the identity.
 */
export function attention(query, newKey, newValue, options = {}, round = (x) => x) {
  const { past, headGates, softcap = 0, offset = past?.key.shape[2] ?? 0 } = options;
  const key = past ? concatenate(past.key, newKey) : newKey;
  const value = past ? concatenate(past.value, newValue) : newValue;
  const [B, H, L, D] = query.shape;
  const [, G, S, Dv] = value.shape;
  const scale = options.scale ?? 1 / Math.sqrt(D);
  const stage = options.return?.weights ?? "probabilities";
  const bias = biasOf(options.mask);
  const factor = options.dropout ? dropoutFactor(options.dropout) : () => 1;
  const output = { data: new Float64Array(B * H * L * Dv), shape: [B, H, L, Dv] };
  const weights = {
    data: new Float64Array(B * H * L * S).fill(stage === "masked" ? -Infinity : 0),
    shape: [B, H, L, S],
  };
  const dot = (a, aStart, b, bStart, count) => {
    let sum = 0;
    for (let n = 0; n < count; ++n) sum = round(sum + round(a[aStart + n] * b[bStart + n]));
    return sum;
  };
  for (let b = 0; b < B; ++b)
    for (let h = 0; h < H; ++h)
      for (let i = 0; i < L; ++i) {
        const head = b * H + h;
        const kvHead = b * G + Math.floor((h * G) / H);
        const asked = weights.data.subarray((head * L + i) * S, (head * L + i + 1) * S);
        const row = new Float64Array(S);
        const visible = [];
        for (let j = 0; j < S; ++j) {
          row[j] = round(dot(query.data, (head * L + i) * D, key.data, (kvHead * S + j) * D, D) * scale);
          if (stage === "scores") asked[j] = row[j];
          if (softcap > 0) row[j] = round(softcap * round(Math.tanh(round(row[j] / softcap))));
          if (stage === "capped") asked[j] = row[j];
          const added = bias(b, h, i, j);
          if (added === -Infinity || !sees({ ...options, offset }, b, i, j)) continue;
          visible.push(j);
          row[j] = round(row[j] + added);
          if (stage === "masked") asked[j] = row[j];
        }
        const maximum = Math.max(...visible.map((j) => row[j]));
        let sum = 0;
        for (const j of visible) sum = round(sum + (row[j] = round(Math.exp(row[j] - maximum))));
        for (const j of visible) {
          row[j] = round(row[j] / sum);
          if (stage === "probabilities") asked[j] = row[j];
          for (let n = 0; n < Dv; ++n) {
            const at = (head * L + i) * Dv + n;
            const weight = round(row[j] * factor(b, h, i, j));
            output.data[at] = round(output.data[at] + round(weight * value.data[(kvHead * S + j) * Dv + n]));
          }
        }
        if (headGates) for (let n = 0; n < Dv; ++n) output.data[(head * L + i) * Dv + n] *= headGates[h];
      }
  return { output, weights };
}

/** Rotary embedding of [B, H, L, D] by the cos(b, i, k) and sin(b, i, k) of its pairs k < dim / 2. */
export function rotaryEmbedding(x, { dim = x.shape[3], interleaved = false }, cos, sin, round = (v) => v) {
  const [B, H, L, D] = x.shape;
  const data = Float64Array.from(x.data);
  for (let b = 0; b < B; ++b)
    for (let h = 0; h < H; ++h)
      for (let i = 0; i < L; ++i)
        for (let k = 0; k < dim / 2; ++k) {
          const at = ((b * H + h) * L + i) * D;
          const [first, second] = interleaved ? [at + 2 * k, at + 2 * k + 1] : [at + k, at + k + dim / 2];
          const [c, s] = [round(cos(b, i, k)), round(sin(b, i, k))];
          data[first] = round(round(c * x.data[first]) - round(s * x.data[second]));
          data[second] = round(round(s * x.data[first]) + round(c * x.data[second]));
        }
  return { data, shape: x.shape };
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

/** The slopes of ALiBi for H heads, as the code that was published with it computes them (Press et al. 2022). */
export function alibiSlopes(H) {
  const first = 2 ** -(2 ** -(Math.log2(H) - 3));
  if (Number.isInteger(Math.log2(H))) return Array.from({ length: H }, (_, n) => first ** (n + 1));
  const lower = 2 ** Math.floor(Math.log2(H));
  const others = alibiSlopes(2 * lower).filter((_, n) => n % 2 === 0);
  return [...alibiSlopes(lower), ...others.slice(0, H - lower)];
}

/** Heads of [B, G, L, D] by number, [B, numbers.length, L, D]. */
export function takeHeads({ data, shape: [B, G, L, D] }, numbers) {
  const at = (b, g) => (b * G + g) * L * D;
  const parts = Array.from({ length: B }, (_, b) => numbers.map((g) => [...data.subarray(at(b, g), at(b, g + 1))]));
  return { data: data.constructor.from(parts.flat(2)), shape: [B, numbers.length, L, D] };
}

/**
 * The whole module on [B, L, E], [B, S, keyDim], [B, S, valueDim]. `options` are forward's, and `headGates`; `slopes`
 * stands in for the heads' own where the module was pruned.
 */
export function multiHeadAttention(config, parameters, query, key, value, options = {}, round = (v) => v) {
  const { numHeads: H, numKvHeads: G, rope } = config;
  const groups = config.headGroups ?? Array.from({ length: H }, (_, h) => Math.floor(h / (H / G)));
  const project = (name, x) => linear(x, parameters[`${name}.weight`], parameters[`${name}.bias`], round);
  const split = (name, x, count) => splitHeads(project(name, x), count);
  const turn = (x, position) => {
    if (rope === undefined) return x;
    const angle = (b, i, k) => position(b, i) * rope.base ** ((-2 * k) / rope.dim);
    return rotaryEmbedding(
      x,
      rope,
      (...at) => Math.cos(angle(...at)),
      (...at) => Math.sin(angle(...at)),
      round,
    );
  };
  const { positions, offset = 0, slopes = alibiSlopes(H) } = options;
  const place = (b, i) => i + (typeof offset === "number" ? offset : offset[b]);
  const given = (b, i) => positions[b * query.shape[1] + i];
  const bias = biasOf(options.mask);
  const mask = (b, h, i, j) => bias(b, h, i, j) - round(slopes[h] * Math.abs(place(b, i) - j));
  const heads = attention(
    turn(split("q_proj", query, H), positions ? given : place),
    takeHeads(turn(split("k_proj", key, G), positions && key === query ? given : (b, j) => j), groups),
    takeHeads(split("v_proj", value, G), groups),
    { ...options, scale: config.scale, softcap: config.softcap, mask: config.alibi ? mask : options.mask },
    round,
  );
  return { output: project("out_proj", mergeHeads(heads.output)), weights: heads.weights };
}

/**
 * Statistics of the heads of weights [B, H, L, S], by the definitions of docs/heads.md: for each query the set of keys that
 * a statistic is about, and the mean over the queries for which it is not empty.
 */
export function headStatistics({ data, shape: [B, H, L, S] }, options = {}) {
  const { mask, offset = 0, tokens } = options;
  const bias = biasOf(mask);
  const all = Array.from({ length: S }, (_, j) => j);
  return Array.from({ length: H }, (_, h) => {
    const values = {};
    const note = (name, value) => (values[name] ??= []).push(value);
    for (let b = 0; b < B; ++b)
      for (let i = 0; i < L; ++i) {
        const at = ((b * H + h) * L + i) * S;
        const place = i + (typeof offset === "number" ? offset : offset[b]);
        const keys = all.filter((j) => bias(b, h, i, j) !== -Infinity && sees(options, b, i, j));
        const sum = (chosen, of) => chosen.reduce((total, j) => total + of(data[at + j], j), 0);
        const note1 = (name, chosen) =>
          chosen.length > 0 &&
          note(
            name,
            sum(chosen, (p) => p),
          );
        if (keys.length > 1) note("entropy", -sum(keys, (p) => (p > 0 ? p * Math.log(p) : 0)) / Math.log(keys.length));
        if (keys.length > 0) {
          note(
            "distance",
            sum(keys, (p, j) => p * Math.abs(place - j)),
          );
          note("confidence", Math.max(...keys.map((j) => data[at + j])));
        }
        const only = (wanted) => keys.filter((j) => j === wanted);
        note1("first", only(0));
        note1("previous", only(place - 1));
        note1("next", only(place + 1));
        note1("self", only(place));
        if (tokens === undefined || place < 0 || place >= S) continue;
        const token = (j) => tokens[(tokens.length === S ? 0 : b * S) + j];
        const repeats = all.filter((j) => j < place && token(j) === token(place));
        note1(
          "duplicate",
          keys.filter((j) => repeats.includes(j)),
        );
        note1(
          "induction",
          keys.filter((j) => repeats.includes(j - 1)),
        );
      }
    const names = ["entropy", "distance", "confidence", "first", "previous", "next", "self"];
    if (tokens !== undefined) names.push("duplicate", "induction");
    const mean = (list = [0]) => list.reduce((total, value) => total + value, 0) / list.length;
    return Object.fromEntries(names.map((name) => [name, mean(values[name])]));
  });
}

/** The largest difference, and whether it is within twice the naive single-precision error (DESIGN.md, section 4). */
export function compare(ours, exact, naive) {
  let [error, naiveError, largest] = [0, 0, 1];
  for (let n = 0; n < exact.data.length; ++n) {
    if (ours.data[n] === exact.data[n] && !Number.isFinite(exact.data[n])) continue; // a masked score
    if (!(Math.abs(ours.data[n] - exact.data[n]) >= 0)) return { error: NaN, allowed: 0, close: false };
    error = Math.max(error, Math.abs(ours.data[n] - exact.data[n]));
    naiveError = Math.max(naiveError, Math.abs(naive.data[n] - exact.data[n]));
    largest = Math.max(largest, Math.abs(exact.data[n]));
  }
  const allowed = 2 * naiveError + 1e-6 * largest;
  return { error, allowed, close: error <= allowed };
}
