/** Transformers in int8, as files have them: matrices as integers and their scales, all else as floats. */
import { sameShape } from "../base/tensor.js";
import { arrayOf, scaleName, type OpenFile, type TensorToWrite } from "../files/safetensors.js";
import { invalidTensor } from "../files/safetensors_header.js";
import type { Parameter } from "../module/config.js";
import { readParameters, refuseNotFinite } from "../module/parameters.js";
import { isMatrix, transformerParameters } from "./native_config.js";
import { getInt8, handleOf, setRaw } from "./raw_parameters.js";
import type { AnyTransformer } from "./types.js";

export interface Int8OrFloats {
  readonly data: Float32Array | Int8Array;
  readonly scales?: Float32Array;
}

/** Calls `use` with what a parameter is in int8, of the model or of a copy that lives as long as the call. */
export function inInt8<T>(model: AnyTransformer, use: (numbers: (parameter: Parameter) => Int8OrFloats) => T): T {
  const whole = model.config.dtype === "int8" ? model : model.convert({ dtype: "int8" });
  const handle = handleOf(whole);
  const floats = (parameter: Parameter) =>
    readParameters(handle, [parameter], (native, index, to) => native.getParameter(index, to))[parameter.name]!;
  try {
    return use((parameter) => (isMatrix(parameter) ? getInt8(handle, parameter) : floats(parameter)));
  } finally {
    if (whole !== model) whole.dispose();
  }
}

/** The tensors of a file by our names. */
export const int8Tensors = (model: AnyTransformer): TensorToWrite[] =>
  inInt8(model, (numbers) =>
    transformerParameters(model.config).flatMap((parameter) => {
      const { name, shape } = parameter;
      const { data, scales } = numbers(parameter);
      const ofScales = scales === undefined ? [] : [{ name: scaleName(name), data: scales, shape: [scales.length] }];
      return [...ofScales, { name, data, shape }];
    }),
  );

/** Sets the matrices that a file has in int8. @returns the names of its tensors that are left */
export function setInt8(model: AnyTransformer, file: OpenFile): string[] {
  const left = new Set(file.names);
  if (model.config.dtype !== "int8") return [...left];
  for (const parameter of transformerParameters(model.config).filter(isMatrix)) {
    const { name, shape } = parameter;
    if (file.info(name).dtype !== "I8") continue;
    const scales = scaleName(name);
    const found = left.has(scales) ? file.info(scales) : undefined;
    if (found?.dtype !== "F32" || !sameShape(found.shape, shape.slice(0, 1)))
      throw invalidTensor(name, `it is int8, and ${scales} is not there as F32 of shape [${shape[0]}]`);
    const { data } = file.tensor(scales);
    refuseNotFinite({ data }, scales);
    setRaw(handleOf(model), parameter, arrayOf(Int8Array, file.bytes(name)), data);
    left.delete(name);
    left.delete(scales);
  }
  return [...left];
}
