// The ONNX models of a row, as bytes.
import { constant, model, node, valueInfo } from "../../support/onnx_model.mjs";
import { transpose } from "../inputs.mjs";

const opset = 17;

/** Both operators take the number of heads, and causality as `unidirectional`. */
const attention = (opType, inputs, outputs, { H, causal }) =>
  node(opType, inputs, outputs, { domain: "com.microsoft", ints: { num_heads: H, unidirectional: causal ? 1 : 0 } });

/** query [B, L, E], key and value [B, S, E] to output [B, L, E] */
export function attentionCore(row) {
  const { B, L, S, E } = row;
  return model({
    opset,
    inputs: [valueInfo("query", [B, L, E]), valueInfo("key", [B, S, E]), valueInfo("value", [B, S, E])],
    outputs: [valueInfo("output", [B, L, E])],
    nodes: [attention("MultiHeadAttention", ["query", "key", "value"], ["output"], row)],
  });
}

/**
 * x [B, L, E] to output [B, L, E], weights and biases inside the model, where the runtime packs them; where S > L also
 * past [2, B, H, S - L, D], keys and values, to present [2, B, H, S, D]
 */
export function attentionBlock(row, { q, k, v, out }) {
  const { B, L, S, E, H, D } = row;
  const cached = S > L;
  const weight = new Float32Array(E * 3 * E); // [E, 3E]: the three side by side
  for (const [n, { weight: own }] of [q, k, v].entries()) {
    for (let o = 0; o < E; ++o) for (let i = 0; i < E; ++i) weight[i * 3 * E + n * E + o] = own[o * E + i];
  }
  const bias = Float32Array.from([...q.bias, ...k.bias, ...v.bias]);
  return model({
    opset,
    inputs: [valueInfo("x", [B, L, E]), ...(cached ? [valueInfo("past", [2, B, H, S - L, D])] : [])],
    outputs: [valueInfo("output", [B, L, E]), ...(cached ? [valueInfo("present", [2, B, H, S, D])] : [])],
    initializer: [
      constant("weight", weight, [E, 3 * E]),
      constant("bias", bias, [3 * E]),
      constant("out_weight", transpose(out.weight, E), [E, E]),
      constant("out_bias", out.bias, [E]),
    ],
    nodes: [
      cached
        ? attention("Attention", ["x", "weight", "bias", "", "past"], ["heads", "present"], row)
        : attention("Attention", ["x", "weight", "bias"], ["heads"], row),
      node("MatMul", ["heads", "out_weight"], ["projected"]),
      node("Add", ["projected", "out_bias"], ["output"]),
    ],
  });
}
