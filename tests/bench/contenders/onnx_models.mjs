// The ONNX models of a row, as bytes.
import onnxProto from "onnx-proto";
import { transpose } from "../inputs.mjs";

const { onnx } = onnxProto;
const FLOAT = onnx.TensorProto.DataType.FLOAT;
const { INT } = onnx.AttributeProto.AttributeType;

const shapeOf = (dims) => ({ dim: dims.map((dimValue) => ({ dimValue })) });
const valueInfo = (name, dims) => ({ name, type: { tensorType: { elemType: FLOAT, shape: shapeOf(dims) } } });
const constant = (name, data, dims) => ({
  name,
  dims,
  dataType: FLOAT,
  rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

function encode({ inputs, output, initializer = [], nodes }) {
  const model = {
    irVersion: 8,
    opsetImport: [
      { domain: "", version: 17 },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: {
      name: "attention",
      input: inputs,
      output: [output],
      initializer,
      node: nodes,
    },
  };
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject(model)).finish();
}

/** Both operators take the number of heads, and causality as `unidirectional`. */
const attention = (opType, input, output, { H, causal }) => ({
  opType,
  domain: "com.microsoft",
  input,
  output,
  attribute: [
    { name: "num_heads", type: INT, i: H },
    { name: "unidirectional", type: INT, i: causal ? 1 : 0 },
  ],
});

/** query [B, L, E], key and value [B, S, E] to output [B, L, E] */
export function attentionCore(row) {
  const { B, L, S, E } = row;
  return encode({
    inputs: [valueInfo("query", [B, L, E]), valueInfo("key", [B, S, E]), valueInfo("value", [B, S, E])],
    output: valueInfo("output", [B, L, E]),
    nodes: [attention("MultiHeadAttention", ["query", "key", "value"], ["output"], row)],
  });
}

/** x [B, L, E] to output [B, L, E], weights and biases inside the model, where the runtime packs them */
export function attentionBlock(row, { q, k, v, out }) {
  const { B, L, E } = row;
  const weight = new Float32Array(E * 3 * E); // [E, 3E]: the three side by side
  for (const [n, { weight: own }] of [q, k, v].entries()) {
    for (let o = 0; o < E; ++o) for (let i = 0; i < E; ++i) weight[i * 3 * E + n * E + o] = own[o * E + i];
  }
  const bias = Float32Array.from([...q.bias, ...k.bias, ...v.bias]);
  return encode({
    inputs: [valueInfo("x", [B, L, E])],
    output: valueInfo("output", [B, L, E]),
    initializer: [
      constant("weight", weight, [E, 3 * E]),
      constant("bias", bias, [3 * E]),
      constant("out_weight", transpose(out.weight, E), [E, E]),
      constant("out_bias", out.bias, [E]),
    ],
    nodes: [
      attention("Attention", ["x", "weight", "bias"], ["heads"], row),
      { opType: "MatMul", input: ["heads", "out_weight"], output: ["projected"] },
      { opType: "Add", input: ["projected", "out_bias"], output: ["output"] },
    ],
  });
}
