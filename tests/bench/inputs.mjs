// Inputs of a row, the same for all contenders, and what their results must be.

/** Normal random numbers (Box and Muller) from mulberry32: the same in every engine. */
export function normals(seed, count, scale = 1) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    return scale * radius * Math.cos(2 * Math.PI * uniform());
  });
}

/**
 * core: query [B, L, E], key and value [B, S, E]. block: tokens [B, S, E], of which the last L are new: x [B, L, E]; for
 * each of the projections q, k, v and out a weight [E, E] (out = x W^T + b, as in PyTorch) and a bias [E]; and what a
 * cache has of the tokens before: pastKey and pastValue [S - L, E].
 */
export function makeInputs({ B, L, S, E }, kind) {
  if (kind === "core") {
    return { query: normals(1, B * L * E), key: normals(2, B * S * E), value: normals(3, B * S * E) };
  }
  const projection = (seed) => ({ weight: normals(seed, E * E, E ** -0.5), bias: normals(seed + 1, E, 0.1) });
  const tokens = normals(1, B * S * E);
  const [q, k, v, out] = [10, 20, 30, 40].map(projection);
  const before = Array.from({ length: S - L }, (_, j) => j);
  const [pastKey, pastValue] = [k, v].map((own) => Float32Array.from(project(tokens, own, E, before)));
  return { tokens, x: tokens.subarray((S - L) * E), q, k, v, out, pastKey, pastValue };
}

/** [outputs, inputs] to [inputs, outputs], as the peers' products want it; 16 outputs at a time, a line of the cache. */
export function transpose(weight, outputs) {
  const turned = new weight.constructor(weight.length);
  const inputs = weight.length / outputs;
  for (let first = 0; first < outputs; first += 16) {
    const end = Math.min(first + 16, outputs);
    for (let i = 0; i < inputs; ++i) for (let o = first; o < end; ++o) turned[i * outputs + o] = weight[o * inputs + i];
  }
  return turned;
}

/** [B, S, H*D] as [B, H, S, D], the way a key/value cache lies. */
export function headsFirst(array, { B, S, H, D }) {
  const turned = new Float32Array(array.length);
  for (let b = 0; b < B; ++b)
    for (let j = 0; j < S; ++j)
      for (let h = 0; h < H; ++h) {
        const from = ((b * S + j) * H + h) * D;
        turned.set(array.subarray(from, from + D), ((b * H + h) * S + j) * D);
      }
  return turned;
}

/** rows of x W^T + b in doubles.   x: [*, E] */
function project(x, { weight, bias }, E, rows) {
  const out = new Float64Array(rows.length * E);
  for (let o = 0; o < E; ++o) {
    for (const [r, row] of rows.entries()) {
      let sum = bias[o];
      for (let i = 0; i < E; ++i) sum += x[row * E + i] * weight[o * E + i];
      out[r * E + o] = sum;
    }
  }
  return out;
}

/** One query row's attention over its batch row's keys, all heads. */
function attendRow(query, key, value, { S, E, H, D, causal }, b, i, out) {
  const keys = causal ? Math.min(S, i + 1) : S;
  const p = new Float64Array(keys);
  for (let h = 0; h < H; ++h) {
    let sum = 0;
    let maximum = -Infinity;
    for (let j = 0; j < keys; ++j) {
      let score = 0;
      for (let d = 0; d < D; ++d) score += query[h * D + d] * key[(b * S + j) * E + h * D + d];
      maximum = Math.max(maximum, (p[j] = score / Math.sqrt(D)));
    }
    for (let j = 0; j < keys; ++j) sum += p[j] = Math.exp(p[j] - maximum);
    for (let d = 0; d < D; ++d) {
      let weighted = 0;
      for (let j = 0; j < keys; ++j) weighted += p[j] * value[(b * S + j) * E + h * D + d];
      out[h * D + d] = weighted / sum;
    }
  }
}

/**
 * A plain reference in doubles for a sample of the result's rows: those of a whole long row would take minutes.
 * @returns {{ rows: number[], values: Float64Array }} indices into [B * L], and [rows, E]
 */
export function makeReference(row, kind, inputs) {
  const { B, L, S, E } = row;
  const step = Math.max(1, Math.floor((B * L) / 12));
  const sampled = [];
  for (let r = 0; r < B * L; r += step) sampled.push(r);
  if (sampled.at(-1) !== B * L - 1) sampled.push(B * L - 1);
  const past = kind === "core" ? 0 : S - L;
  const fresh = Array.from({ length: B * S - past }, (_, j) => past + j);
  const [query, key, value] =
    kind === "core"
      ? [
          Float64Array.from(sampled.flatMap((r) => [...inputs.query.subarray(r * E, (r + 1) * E)])),
          inputs.key,
          inputs.value,
        ]
      : [
          project(inputs.x, inputs.q, E, sampled),
          Float64Array.from([...inputs.pastKey, ...project(inputs.tokens, inputs.k, E, fresh)]),
          Float64Array.from([...inputs.pastValue, ...project(inputs.tokens, inputs.v, E, fresh)]),
        ];
  const heads = new Float64Array(sampled.length * E);
  for (const [n, r] of sampled.entries()) {
    const own = (array) => array.subarray(n * E, (n + 1) * E);
    attendRow(own(query), key, value, row, Math.floor(r / L), r % L, own(heads));
  }
  if (kind === "core") return { rows: sampled, values: heads };
  return {
    rows: sampled,
    values: project(
      heads,
      inputs.out,
      E,
      sampled.map((_, n) => n),
    ),
  };
}

/** Largest difference of a result [B, L, E] from the reference, relative to the reference's largest value. */
export function errorOf(result, reference, { B, L, E }) {
  if (!(result instanceof Float32Array) || result.length !== B * L * E) return Infinity;
  let difference = 0;
  let largest = 0;
  for (const [n, r] of reference.rows.entries()) {
    for (let e = 0; e < E; ++e) {
      const d = Math.abs(result[r * E + e] - reference.values[n * E + e]);
      difference = d <= difference ? difference : d; // NaN, too, is a difference
      largest = Math.max(largest, Math.abs(reference.values[n * E + e]));
    }
  }
  return Number.isNaN(difference) ? Infinity : difference / largest;
}
