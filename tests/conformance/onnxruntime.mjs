// One operator at a time in onnxruntime-web, whose sessions are kept: shapes are open, so that cases share them.
import * as ort from "onnxruntime-web";

import { model, node, valueInfo } from "../support/onnx_model.mjs";

ort.env.wasm.numThreads = 1;

const sessions = new Map();
const typeOf = { Float32Array: "float32", Int32Array: "int32", BigInt64Array: "int64", Uint8Array: "bool" };

/**
 * Runs an operator. `inputs`: tensors { data, shape } by the operator's positions, some undefined; `outputs`: by
 * position, whether it is wanted. Returns the outputs by position.
 */
export async function runOperator(opType, { domain, opset = 23, inputs, outputs = [true], ints, floats }) {
  const types = inputs.map((t) => t && typeOf[t.data.constructor.name]);
  const key = JSON.stringify([opType, domain, opset, types, outputs, ints, floats]);
  if (!sessions.has(key)) {
    const given = types.flatMap((type, n) => (type ? [valueInfo(`in${n}`, undefined, type)] : []));
    const wanted = outputs.flatMap((asked, n) => (asked ? [valueInfo(`out${n}`)] : []));
    const names = [types.map((type, n) => (type ? `in${n}` : "")), outputs.map((asked, n) => (asked ? `out${n}` : ""))];
    const bytes = model({
      opset,
      inputs: given,
      outputs: wanted,
      nodes: [node(opType, ...names, { domain, ints, floats })],
    });
    const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
    sessions.set(key, await ort.InferenceSession.create(bytes, options));
  }
  const feeds = inputs.flatMap((t, n) => (t ? [[`in${n}`, new ort.Tensor(types[n], t.data, t.shape)]] : []));
  const results = await sessions.get(key).run(Object.fromEntries(feeds));
  return outputs.map((asked, n) => asked && { data: results[`out${n}`].data, shape: [...results[`out${n}`].dims] });
}
