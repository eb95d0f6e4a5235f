// What one writes without a library: loops over typed arrays.

export const name = "plain JS";
export const threadCounts = [1];

/** x W^T + b.   x: [rows, E], weight: [E, E] */
function project(x, { weight, bias }, rows, E) {
  const out = new Float32Array(rows * E);
  for (let r = 0; r < rows; ++r) {
    for (let o = 0; o < E; ++o) {
      let sum = bias[o];
      for (let i = 0; i < E; ++i) sum += x[r * E + i] * weight[o * E + i];
      out[r * E + o] = sum;
    }
  }
  return out;
}

function attend(query, key, value, { B, L, S, E, H, D, causal }) {
  const out = new Float32Array(B * L * E);
  const p = new Float32Array(S);
  const scale = 1 / Math.sqrt(D);
  for (let b = 0; b < B; ++b) {
    for (let h = 0; h < H; ++h) {
      for (let i = 0; i < L; ++i) {
        const q = (b * L + i) * E + h * D;
        const keys = causal ? i + 1 : S;
        let maximum = -Infinity;
        for (let j = 0; j < keys; ++j) {
          const k = (b * S + j) * E + h * D;
          let score = 0;
          for (let d = 0; d < D; ++d) score += query[q + d] * key[k + d];
          p[j] = score * scale;
          if (p[j] > maximum) maximum = p[j];
        }
        let sum = 0;
        for (let j = 0; j < keys; ++j) sum += p[j] = Math.exp(p[j] - maximum);
        for (let j = 0; j < keys; ++j) {
          const v = (b * S + j) * E + h * D;
          const weight = p[j] / sum;
          for (let d = 0; d < D; ++d) out[q + d] += weight * value[v + d];
        }
      }
    }
  }
  return out;
}

export async function prepare(row, kind, inputs) {
  const { B, L, S, E } = row;
  if (kind === "core") return { run: () => attend(inputs.query, inputs.key, inputs.value, row), dispose() {} };
  const [keys, values] = [inputs.pastKey, inputs.pastValue].map((past) => {
    const room = new Float32Array(B * S * E);
    room.set(past);
    return room;
  });
  const run = () => {
    const [query, key, value] = ["q", "k", "v"].map((p) => project(inputs.x, inputs[p], B * L, E));
    keys.set(key, (S - L) * E);
    values.set(value, (S - L) * E);
    return project(attend(query, keys, values, row), inputs.out, B * L, E);
  };
  return { run, dispose() {} };
}
