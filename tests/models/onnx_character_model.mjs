// The page's model of characters as an ONNX graph: norms before, rotary positions, tied embeddings.
import { Graph } from "../bench/contenders/onnx_graph.mjs";
import { valueInfo } from "../support/onnx_model.mjs";

/** Tokens [1, L] to logits [1, L, V]. */
export function characterModel(config, parameters, L, format) {
  const { layers, embedDim: E, feedForwardDim: F, numHeads: H, vocabSize: V, normEpsilon, rope } = config;
  const D = E / H;
  const graph = new Graph(format);
  const vector = (name) => graph.constant(parameters[name].data, [parameters[name].data.length]);
  const attributes = { ints: { axis: -1 }, floats: { epsilon: normEpsilon } };
  const norm = (x, name) =>
    graph.add("LayerNormalization", [x, vector(`${name}.weight`), vector(`${name}.bias`)], attributes);
  const linear = (x, name, width) =>
    graph.add("Add", [graph.linear(x, parameters[`${name}.weight`].data, width), vector(`${name}.bias`)]);
  const angle = (n) => Math.floor(n / (D / 2)) / rope.base ** ((2 * (n % (D / 2))) / D);
  const angles = Float64Array.from({ length: (L * D) / 2 }, (_, n) => angle(n));
  const tables = [Math.cos, Math.sin].map((of) => graph.constant(Float32Array.from(angles, of), [L, D / 2]));
  const positions = graph.integers([...Array(L).keys()], [1, L]);
  const rotate = (x) => graph.contrib("RotaryEmbedding", [x, positions, ...tables], { ints: { num_heads: H } });
  let x = graph.rows(parameters["embedding.weight"].data, V, "tokens");
  for (let n = 0; n < layers; ++n) {
    const layer = `layers.${n}`;
    const read = norm(x, `${layer}.norm1`);
    const [q, k, v] = ["q", "k", "v"].map((p) => linear(read, `${layer}.attention.${p}_proj`, E));
    const ints = { num_heads: H, unidirectional: 1 };
    const attended = graph.contrib("MultiHeadAttention", [rotate(q), rotate(k), v], { ints });
    x = graph.add("Add", [x, linear(attended, `${layer}.attention.out_proj`, E)]);
    const up = linear(norm(x, `${layer}.norm2`), `${layer}.feed_forward.up`, F);
    x = graph.add("Add", [x, linear(graph.contrib("FastGelu", [up]), `${layer}.feed_forward.down`, E)]);
  }
  const logits = graph.linear(norm(x, "norm"), parameters["embedding.weight"].data, V);
  return graph.finish([valueInfo("tokens", [1, L], "int32")], [valueInfo(logits)]);
}
