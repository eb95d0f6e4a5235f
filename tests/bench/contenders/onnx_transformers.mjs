// Whole models as ONNX graphs of the operators to which onnxruntime's own optimiser (onnxruntime.transformers) fuses exports.
import { valueInfo } from "../../support/onnx_model.mjs";
import { Graph } from "./onnx_graph.mjs";

const concatenate = (arrays) => {
  const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
};

/** BERT: tokens [1, L] to hidden states [1, L, E]. `attention`: "Attention" or "MultiHeadAttention" */
export function encoder({ config, L }, parameters, { format, attention }) {
  const {
    layers,
    embedDim: E,
    feedForwardDim: F,
    numHeads,
    vocabSize,
    contextLength,
    tokenTypes,
    normEpsilon,
  } = config;
  const graph = new Graph(format);
  const vector = (name) => graph.constant(parameters[name].data, [parameters[name].data.length]);
  const norm = (name) => [vector(`${name}.weight`), vector(`${name}.bias`)];
  const epsilon = { floats: { epsilon: normEpsilon } };
  const embed = () => {
    const types = graph.constant(new Int32Array(L), [1, L]);
    const table = (name, rows) => graph.constant(parameters[`${name}.weight`].data, [rows, E]);
    const tables = [table("embedding", vocabSize), table("positions", contextLength), table("token_types", tokenTypes)];
    return graph.contrib(
      "EmbedLayerNormalization",
      ["tokens", types, ...tables, ...norm("embedding_norm")],
      epsilon,
      2,
    );
  };
  // That operator takes tables in float32 alone.
  const embedIntegers = () => {
    const positions = parameters["positions.weight"].data.slice(0, L * E);
    const [type] = [parameters["token_types.weight"].data];
    const others = graph.constant(
      positions.map((value, n) => value + type[n % E]),
      [1, L, E],
    );
    const words = graph.rows(parameters["embedding.weight"].data, vocabSize, "tokens");
    return [graph.contrib("SkipLayerNormalization", [words, others, ...norm("embedding_norm")], epsilon)];
  };
  let [x] = format === "MatMul" ? embed() : embedIntegers();
  const addAndNorm = (own, skip, name, bias) =>
    graph.contrib("SkipLayerNormalization", [own, skip, ...norm(name), ...(bias ? [vector(bias)] : [])], epsilon);
  for (let n = 0; n < layers; ++n) {
    const of = (name) => parameters[`layers.${n}.${name}`].data;
    const heads = { ints: { num_heads: numHeads } };
    const projections = ["q", "k", "v"].map((p) => of(`attention.${p}_proj.weight`));
    const bias = graph.constant(concatenate(["q", "k", "v"].map((p) => of(`attention.${p}_proj.bias`))), [3 * E]);
    const attended =
      attention === "Attention"
        ? graph.contrib("Attention", [x, graph.matrix(concatenate(projections), 3 * E), bias], heads)
        : graph.contrib("MultiHeadAttention", [...projections.map((p) => graph.linear(x, p, E)), bias], heads);
    const out = graph.linear(attended, of("attention.out_proj.weight"), E);
    const mid = addAndNorm(out, x, `layers.${n}.norm1`, `layers.${n}.attention.out_proj.bias`);
    const up = graph.linear(mid, of("feed_forward.up.weight"), F);
    const active = graph.contrib("BiasGelu", [up, vector(`layers.${n}.feed_forward.up.bias`)]);
    const down = graph.linear(active, of("feed_forward.down.weight"), E);
    x = addAndNorm(down, mid, `layers.${n}.norm2`, `layers.${n}.feed_forward.down.bias`);
  }
  return graph.finish([valueInfo("tokens", [1, L], "int32")], [valueInfo(x)]);
}

/**
 * Llama: tokens [1, L] and, of P tokens before, each layer's keys and values [1, G, P, D], to the logits of the last token [1, V].
 * Behind those there are L or, if P > 0, 1 more. `attention`: "GroupQueryAttention", or "MultiHeadAttention" on keys and values that
 * are repeated for each query head, as PyTorch exports them. The former, and both if P > 0, also give keys and values of all tokens.
 */
export function decoder({ config, L, P }, parameters, { format, attention }) {
  const {
    layers,
    embedDim: E,
    feedForwardDim: F,
    numHeads: H,
    numKvHeads: G,
    vocabSize: V,
    normEpsilon,
    rope,
  } = config;
  const [S, D] = [P + L, E / H];
  const graph = new Graph(format);
  const vector = (name) => graph.constant(parameters[name].data, [parameters[name].data.length]);
  const reshape = (x, ...shape) => graph.add("Reshape", [x, graph.integers(shape)]);
  const norm = { floats: { epsilon: normEpsilon } };
  const angle = (n) => Math.floor(n / (D / 2)) / rope.base ** ((2 * (n % (D / 2))) / D);
  const angles = Float64Array.from({ length: (S * D) / 2 }, (_, n) => angle(n));
  const tables = [Math.cos, Math.sin].map((of) => graph.constant(Float32Array.from(angles, of), [S, D / 2]));
  const outputs = [];

  const groupQueryAttention = (projected, past) => {
    const lengths = [graph.constant(Int32Array.of(S - 1), [1]), graph.constant(Int32Array.of(S), [])];
    const ints = { num_heads: H, kv_num_heads: G, do_rotary: 1 };
    const inputs = [...projected, ...past, ...lengths, ...tables];
    const [attended, ...present] = graph.contrib("GroupQueryAttention", inputs, { ints }, 3);
    outputs.push(...present);
    return attended;
  };

  const rotate = (x, heads) => {
    const positions = Array.from({ length: L }, (_, n) => P + n);
    const inputs = [x, graph.integers(positions, [1, L]), ...tables];
    return graph.contrib("RotaryEmbedding", inputs, { ints: { num_heads: heads } });
  };
  const repeat = (x, past) => {
    if (P === 0) {
      const repeated = graph.add("Expand", [reshape(x, 1, L, G, 1, D), graph.integers([1, L, G, H / G, D])]);
      return reshape(repeated, 1, L, E);
    }
    const all = graph.add("Concat", [past, reshape(x, 1, G, 1, D)], { ints: { axis: 2 } });
    outputs.push(all);
    const repeated = graph.add("Expand", [reshape(all, 1, G, 1, S, D), graph.integers([1, G, H / G, S, D])]);
    return reshape(repeated, 1, H, S, D);
  };
  const multiHeadAttention = ([query, key, value], past) => {
    const inputs = [rotate(query, H), repeat(rotate(key, G), past[0]), repeat(value, past[1])];
    return graph.contrib("MultiHeadAttention", inputs, { ints: { num_heads: H, unidirectional: L > 1 ? 1 : 0 } });
  };
  const attend = attention === "GroupQueryAttention" ? groupQueryAttention : multiHeadAttention;

  const pasts = Array.from({ length: layers }, (_, n) => ["key", "value"].map((part) => `past ${n} ${part}`));
  let stream = graph.rows(parameters["embedding.weight"].data, V, "tokens");
  let x = graph.add("SimplifiedLayerNormalization", [stream, vector("layers.0.norm1.weight")], norm);
  const addAndNorm = (own, name) => {
    const inputs = [own, stream, vector(`${name}.weight`)];
    [x, , , stream] = graph.contrib("SkipSimplifiedLayerNormalization", inputs, norm, 4);
  };
  for (const [n, past] of pasts.entries()) {
    const of = (name) => parameters[`layers.${n}.${name}.weight`].data;
    const project = (name, width) => graph.linear(x, of(`attention.${name}_proj`), width);
    const attended = attend([project("q", E), project("k", G * D), project("v", G * D)], past);
    addAndNorm(graph.linear(attended, of("attention.out_proj"), E), `layers.${n}.norm2`);
    const gate = graph.contrib("QuickGelu", [graph.linear(x, of("feed_forward.gate"), F)], { floats: { alpha: 1 } });
    const active = graph.add("Mul", [gate, graph.linear(x, of("feed_forward.up"), F)]);
    addAndNorm(graph.linear(active, of("feed_forward.down"), E), n + 1 < layers ? `layers.${n + 1}.norm1` : "norm");
  }
  const last = graph.add("Gather", [x, graph.integers([L - 1], [])], { ints: { axis: 1 } });
  const logits = graph.linear(last, parameters["embedding.weight"].data, V);
  const reads = attention === "GroupQueryAttention" || P > 0 ? pasts.flat() : [];
  const inputs = [valueInfo("tokens", [1, L], "int32"), ...reads.map((name) => valueInfo(name, [1, G, P, D]))];
  return graph.finish(
    inputs,
    [logits, ...outputs].map((name) => valueInfo(name)),
  );
}
