// Small ONNX models as bytes, for ONNX Runtime in the bench and in the differential tests.
import onnxProto from "onnx-proto";

const { onnx } = onnxProto;
const { FLOAT, INT32, INT64, BOOL, UINT8, INT8 } = onnx.TensorProto.DataType;
const dataTypes = { float32: FLOAT, int32: INT32, int64: INT64, bool: BOOL };
const arrayTypes = new Map([
  [Float32Array, FLOAT],
  [Int32Array, INT32],
  [BigInt64Array, INT64],
  [Uint8Array, UINT8],
  [Int8Array, INT8],
]);

/** An input or output. Without dims its shape is unknown. */
export const valueInfo = (name, dims, type = "float32") => ({
  name,
  type: {
    tensorType: { elemType: dataTypes[type], shape: dims && { dim: dims.map((dimValue) => ({ dimValue })) } },
  },
});

/** A tensor inside the model, of its array's type. */
export const constant = (name, data, dims) => ({
  name,
  dims,
  dataType: arrayTypes.get(data.constructor),
  rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

/** One operator. "" means an omitted input or output. Attributes are integers or floats. */
export function node(opType, input, output, { domain = "", ints = {}, floats = {} } = {}) {
  const { INT, FLOAT } = onnx.AttributeProto.AttributeType;
  const attribute = [
    ...Object.entries(ints).map(([name, i]) => ({ name, type: INT, i })),
    ...Object.entries(floats).map(([name, f]) => ({ name, type: FLOAT, f })),
  ];
  return { opType, domain, input, output, attribute };
}

/** A model of ONNX's operators at `opset` and of ONNX Runtime's contrib operators. */
export function model({ opset, inputs, outputs, initializer = [], nodes }) {
  const proto = {
    irVersion: 10,
    opsetImport: [
      { domain: "", version: opset },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: { name: "attention", input: inputs, output: outputs, initializer, node: nodes },
  };
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject(proto)).finish();
}
