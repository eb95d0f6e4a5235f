// The oracle of importParameters and exportParameters: each layout's attention, computed from its state dict as its own
// library does. `round` is Math.fround for single precision, or the identity.
import { attention, linear, mergeHeads, splitHeads } from "./reference.mjs";

/** Columns [begin, end) of the last axis. */
function columns({ data, shape }, begin, end) {
  const width = shape.at(-1);
  return {
    data: data.filter((_, n) => n % width >= begin && n % width < end),
    shape: [...shape.slice(0, -1), end - begin],
  };
}

/** x W + b, with W [in, out]: transformers' Conv1D. */
function conv1d(x, weight, bias, round) {
  const [inputs, outputs] = weight.shape;
  const data = new Float64Array((x.data.length / inputs) * outputs);
  for (let n = 0; n < data.length; ++n) {
    const [row, output] = [Math.floor(n / outputs), n % outputs];
    data[n] = bias.data[output];
    for (let k = 0; k < inputs; ++k)
      data[n] = round(data[n] + round(x.data[row * inputs + k] * weight.data[k * outputs + output]));
  }
  return { data, shape: [...x.shape.slice(0, -1), outputs] };
}

/** [B, G, S, D] as [B, H, S, D], each head H / G times one after the other: transformers' repeat_kv. */
function repeatHeads({ data, shape: [B, G, S, D] }, H) {
  const repeated = new Float64Array(B * H * S * D);
  for (let b = 0; b < B; ++b)
    for (let h = 0; h < H; ++h) {
      const from = (b * G + Math.floor(h / (H / G))) * S * D;
      repeated.set(data.subarray(from, from + S * D), (b * H + h) * S * D);
    }
  return { data: repeated, shape: [B, H, S, D] };
}

/** softmax(Q Kᵀ / sqrt(D)) V of projected inputs [B, L, H*D], [B, S, G*D], [B, S, G*D]: [B, L, H*D]. */
function heads(query, key, value, numHeads, round, numKvHeads = numHeads) {
  const group = (x) => repeatHeads(splitHeads(x, numKvHeads), numHeads);
  return mergeHeads(attention(splitHeads(query, numHeads), group(key), group(value), {}, round).output);
}

/** Each: (state dict, [query, key, value], numHeads, round, numKvHeads) → output. */
export const foreignAttention = {
  torch(dict, [query, key, value], numHeads, round) {
    const packed = dict["in_proj_weight"];
    const bias = dict["in_proj_bias"];
    const width = (packed ?? dict["q_proj_weight"]).shape[0] / (packed ? 3 : 1);
    const [q, k, v] = [query, key, value].map((x, n) => {
      const slice = bias && { data: bias.data.subarray(n * width, (n + 1) * width), shape: [width] };
      // The packed weight as a whole, whose outputs are query, key, value.
      if (packed) return columns(linear(x, packed, bias, round), n * width, (n + 1) * width);
      return linear(x, dict[`${"qkv"[n]}_proj_weight`], slice, round);
    });
    return linear(heads(q, k, v, numHeads, round), dict["out_proj.weight"], dict["out_proj.bias"], round);
  },
  bert(dict, [query, key, value], numHeads, round) {
    const dense = (name, x) => linear(x, dict[`attention.${name}.weight`], dict[`attention.${name}.bias`], round);
    const [q, k, v] = [dense("self.query", query), dense("self.key", key), dense("self.value", value)];
    return dense("output.dense", heads(q, k, v, numHeads, round));
  },
  gpt2(dict, [x], numHeads, round) {
    const dense = (name, y) => conv1d(y, dict[`attn.${name}.weight`], dict[`attn.${name}.bias`], round);
    const qkv = dense("c_attn", x);
    const width = qkv.shape.at(-1) / 3;
    const [q, k, v] = [0, 1, 2].map((n) => columns(qkv, n * width, (n + 1) * width));
    return dense("c_proj", heads(q, k, v, numHeads, round));
  },
  llama(dict, [query, key, value], numHeads, round, numKvHeads) {
    const project = (name, x) => linear(x, dict[`self_attn.${name}.weight`], dict[`self_attn.${name}.bias`], round);
    const [q, k, v] = [project("q_proj", query), project("k_proj", key), project("v_proj", value)];
    return project("o_proj", heads(q, k, v, numHeads, round, numKvHeads));
  },
};
