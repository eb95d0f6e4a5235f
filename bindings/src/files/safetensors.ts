/** The safetensors file format: a header (safetensors_header.ts), then the tensors' bytes, little endian. */
import { encodeUtf8 } from "../base/utf8.js";
import type { Safetensors, WriteSafetensorsOptions } from "./types.js";
import { invalidOption, oneOf, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { copyOfArray, typeTag, viewOf } from "../base/kinds.js";
import { optional, readMembers, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { halfFloats, narrow, widen } from "./half_floats.js";
import { invalidFile, invalidTensor, metadataKey, readHeader } from "./safetensors_header.js";
import { allocate, checkTensor } from "../base/tensor.js";
import type { Bytes, Tensor, TensorLike } from "../base/types.js";

/** Bytes as an array of one type: a view if they are aligned, otherwise a copy. */
export function arrayOf<T>(
  Type: { new (buffer: ArrayBufferLike, start?: number, length?: number): T; BYTES_PER_ELEMENT: number },
  bytes: Uint8Array,
): T {
  const size = Type.BYTES_PER_ELEMENT;
  if (bytes.byteOffset % size !== 0) return new Type(copyOfArray(bytes).buffer);
  return new Type(bytes.buffer, bytes.byteOffset, bytes.byteLength / size);
}

/**
 * A tensor's bytes as float32. F32 is a view if the bytes are aligned to 4, otherwise a copy; F16 and BF16 are converted exactly.
 * Throws `invalid-file` for other types.
 */
export function floatsOf(name: string, dtype: string, bytes: Uint8Array): Float32Array {
  if (dtype === "F32") return arrayOf(Float32Array, bytes);
  if (dtype !== "F16" && dtype !== "BF16")
    throw invalidTensor(name, `type ${dtype} is not supported (F32, F16 and BF16 are)`);
  return widen(arrayOf(Uint16Array, bytes), halfFloats[dtype]);
}

/** A file whose tensors' bytes can be had as well. */
export interface OpenFile extends Safetensors {
  bytes(name: string): Uint8Array;
}

export function openSafetensors(file: Uint8Array | ArrayBuffer): OpenFile {
  const tag = typeTag(file);
  if (tag !== "Uint8Array" && tag !== "ArrayBuffer" && tag !== "SharedArrayBuffer") {
    throw invalidOption("readSafetensors", "a Uint8Array or ArrayBuffer", file);
  }
  const given = tag === "Uint8Array" ? viewOf(file as Uint8Array) : (file as ArrayBuffer);
  if (given.byteLength < 8) throw invalidFile(`a file has at least 8 bytes, this one ${given.byteLength}`);
  const bytes = given instanceof Uint8Array ? given : new Uint8Array(given);
  const { metadata, entries, dataStart } = readHeader(bytes);
  const entry = (name: string) => {
    const found = entries.get(name);
    if (found === undefined) throw new HeadwiseError("invalid-option", `safetensors: there is no tensor ${show(name)}`);
    return found;
  };
  const bytesOf = (name: string) => {
    const { begin, end } = entry(name);
    const [from, to] = [dataStart + begin, dataStart + end];
    if (to > bytes.byteLength) throw invalidTensor(name, "its bytes are gone: the file's buffer was transferred");
    return bytes.subarray(from, to);
  };
  return {
    metadata,
    names: [...entries.keys()],
    info(name) {
      const { dtype, shape } = entry(name);
      return { dtype, shape: [...shape] };
    },
    tensor(name) {
      const { dtype, shape } = entry(name);
      return { data: floatsOf(name, dtype, bytesOf(name)), shape: [...shape] };
    },
    bytes: bytesOf,
  };
}

/**
 * Opens a safetensors file in memory without copying it, and checks its whole header. Throws `invalid-file` with the tensor's name
 * if the header is malformed.
 */
export function readSafetensors(file: Uint8Array | ArrayBuffer): Safetensors {
  const { metadata, names, info, tensor } = openSafetensors(file);
  return { metadata, names, info, tensor };
}

export const fileTypes = ["F32", "F16", "BF16"] as const;

/** The name of the scales of an int8 matrix: F32, one for each output. */
export const scaleName = (matrix: string) => `${matrix}_scale`;

function checkMetadata(value: unknown, name: string): Record<string, string> {
  const metadata = Object.create(null) as Record<string, string>;
  for (const [key, text] of readMembers(value, name, "an object of strings")) {
    if (typeof text !== "string") throw invalidOption(`${name}, ${show(key)}`, "a string", text);
    metadata[key] = text;
  }
  return metadata;
}

const optionTable = {
  dtype: withDefault(oneOf(fileTypes), "F32"),
  metadata: optional(checkMetadata),
} satisfies OptionTable<WriteSafetensorsOptions>;

/** A tensor of a file that is made: int8 stays what it is, floats become the file's type. */
export interface TensorToWrite {
  readonly name: string;
  readonly data: Float32Array | Int8Array;
  readonly shape: readonly number[];
}

/** Makes the bytes of a safetensors file from tensors by name. */
export function writeSafetensors(
  tensors: Readonly<Record<string, TensorLike>>,
  optionsLike?: WriteSafetensorsOptions,
): Bytes {
  const given = readMembers(tensors, "writeSafetensors", "an object of tensors by name");
  const { dtype, metadata } = readOptions(optionsLike, "writeSafetensors", optionTable);
  const list = Array.from(given, ([name, value]): TensorToWrite => {
    if (name === metadataKey)
      throw new HeadwiseError("invalid-option", `writeSafetensors: a tensor cannot be named ${metadataKey}`);
    return { name, ...checkTensor(value, name) };
  });
  return writeTensors(list, dtype, metadata);
}

/** `dtype`: of the floats. Wider types come first, so that each tensor is aligned. */
export function writeTensors(
  tensors: readonly TensorToWrite[],
  dtype: (typeof fileTypes)[number],
  metadata: Readonly<Record<string, string>> | undefined,
): Bytes {
  const header = Object.create(null) as Record<string, unknown>; // without a prototype, so that "__proto__" is an ordinary name
  if (metadata !== undefined) header[metadataKey] = metadata;
  const isNarrow = ({ data }: TensorToWrite) => data instanceof Int8Array;
  const inOrder = [...tensors.filter((each) => !isNarrow(each)), ...tensors.filter(isNarrow)];
  let end = 0;
  const parts = inOrder.map(({ name, data, shape }) => {
    const begin = end;
    const type = data instanceof Int8Array ? "I8" : dtype;
    end += data.length * { F32: 4, F16: 2, BF16: 2, I8: 1 }[type];
    header[name] = { dtype: type, shape, data_offsets: [begin, end] };
    return { data, begin };
  });
  const json = encodeUtf8(JSON.stringify(header));
  const dataStart = 8 + Math.ceil(json.length / 8) * 8; // padded with spaces, so that the data is aligned
  const bytes = new Uint8Array(allocate(dataStart + end)).fill(0x20, 8, dataStart);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(dataStart - 8), true);
  bytes.set(json, 8);
  for (const { data, begin } of parts) {
    if (dtype === "F32" || data instanceof Int8Array)
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), dataStart + begin);
    else narrow(data, new Uint16Array(bytes.buffer, dataStart + begin, data.length), halfFloats[dtype]);
  }
  return bytes;
}
