/** The safetensors file format: an 8-byte header length, a JSON header, then the tensors' bytes, little endian. */
import { checkOneOf, checkOptions, copyOfArray, invalidOption, isObject, show, typeTag } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { checkTensor, product } from "./tensor.js";
import type { Tensor, TensorLike } from "./types.js";

/** What a file's header says of a tensor. */
export interface SafetensorsInfo {
  /** The file's name of the type, such as "F32". */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** An open safetensors file. */
export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  /** Type and shape, without reading the tensor. Throws `invalid-option` for an unknown name. */
  info(name: string): SafetensorsInfo;
  /** The tensor; its data is a view of the file's bytes where their alignment allows it. F32; other types throw `invalid-file`. */
  tensor(name: string): Tensor;
}

interface Entry extends SafetensorsInfo {
  readonly begin: number;
  readonly end: number;
}

const maxHeaderBytes = 100_000_000; // the limit of the format's own reader
const bytesPerElement: Record<string, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};

function invalidFile(message: string, cause?: unknown): HeadwiseError {
  return new HeadwiseError("invalid-file", `safetensors: ${message}`, { cause });
}

function parseHeader(bytes: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.byteLength < 8) throw invalidFile(`a file has at least 8 bytes, this one ${bytes.byteLength}`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > maxHeaderBytes || length > bytes.byteLength - 8) {
    throw invalidFile(`the header is said to have ${length} bytes, but ${bytes.byteLength - 8} follow`);
  }
  let header: unknown;
  try {
    // A copy: TextDecoder refuses shared memory.
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(copyOfArray(bytes, 8, 8 + length)));
  } catch (error) {
    throw invalidFile("the header is not JSON", error);
  }
  if (!isObject(header) || Array.isArray(header)) throw invalidFile("the header is not a JSON object");
  return { header, dataStart: 8 + length };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(name: string, value: unknown, dataBytes: number): Entry {
  const wrong = (what: string) => invalidFile(`tensor ${show(name)}: ${what}`);
  if (!isObject(value)) throw wrong("its entry is not an object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw wrong("its dtype is missing");
  if (!Array.isArray(shape) || !shape.every(isCount)) throw wrong("its shape is not an array of counts");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw wrong("its data_offsets are not two counts");
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    throw wrong(`its bytes ${begin} to ${end} are not within the file's ${dataBytes}`);
  const size = bytesPerElement[dtype];
  if (size !== undefined && product(shape) * size !== end - begin) {
    throw wrong(
      `shape [${shape.join(", ")}] of ${dtype} needs ${product(shape) * size} bytes, but it has ${end - begin}`,
    );
  }
  return { dtype, shape, begin, end };
}

function refuseOverlaps(entries: Map<string, Entry>): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (let n = 1; n < sorted.length; ++n) {
    const [[before, { end }], [name, { begin }]] = [sorted[n - 1]!, sorted[n]!];
    if (begin < end) throw invalidFile(`tensor ${show(name)}: its bytes overlap those of ${show(before)}`);
  }
}

function parseMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string")) {
    throw invalidFile("__metadata__ is not an object of strings");
  }
  return value as Record<string, string>;
}

/** Opens a safetensors file that is in memory. The header is checked whole; tensors are read when asked for. */
export function readSafetensors(file: Uint8Array | ArrayBuffer): Safetensors {
  const tag = typeTag(file);
  if (tag !== "Uint8Array" && tag !== "ArrayBuffer" && tag !== "SharedArrayBuffer") {
    throw invalidOption("readSafetensors", "a Uint8Array or ArrayBuffer", file);
  }
  const bytes = tag === "Uint8Array" ? (file as Uint8Array) : new Uint8Array(file as ArrayBuffer);
  const { header, dataStart } = parseHeader(bytes);
  const { __metadata__: metadata, ...tensors } = header;
  const entries = new Map(
    Object.entries(tensors).map(([name, value]) => [name, parseEntry(name, value, bytes.byteLength - dataStart)]),
  );
  refuseOverlaps(entries);

  const entry = (name: string): Entry => {
    const found = entries.get(name);
    if (found === undefined) throw new HeadwiseError("invalid-option", `safetensors: there is no tensor ${show(name)}`);
    return found;
  };
  return {
    metadata: parseMetadata(metadata),
    names: [...entries.keys()],
    info(name) {
      const { dtype, shape } = entry(name);
      return { dtype, shape: [...shape] };
    },
    tensor(name) {
      const { dtype, shape, begin, end } = entry(name);
      if (dtype !== "F32") throw invalidFile(`tensor ${show(name)}: type ${dtype} is not supported (F32 is)`);
      const start = bytes.byteOffset + dataStart + begin;
      const data =
        start % 4 === 0
          ? new Float32Array(bytes.buffer, start, (end - begin) / 4)
          : new Float32Array(copyOfArray(bytes, dataStart + begin, dataStart + end).buffer);
      return { data, shape: [...shape] };
    },
  };
}

/** Options of `writeSafetensors`. */
export interface WriteSafetensorsOptions {
  dtype?: "F32";
  metadata?: Readonly<Record<string, string>>;
}

/** Writes tensors by name as the bytes of a safetensors file. */
export function writeSafetensors(
  tensors: Readonly<Record<string, TensorLike>>,
  optionsLike?: WriteSafetensorsOptions,
): Uint8Array<ArrayBuffer> {
  const options = checkOptions(optionsLike, "writeSafetensors", ["dtype", "metadata"]);
  const dtype = options.dtype === undefined ? "F32" : checkOneOf(options.dtype, "dtype", ["F32"] as const);
  if (!isObject(tensors)) throw invalidOption("writeSafetensors", "an object of tensors by name", tensors);
  if (
    options.metadata !== undefined &&
    !(isObject(options.metadata) && Object.values(options.metadata).every((v) => typeof v === "string"))
  ) {
    throw invalidOption("metadata", "an object of strings", options.metadata);
  }
  const header = Object.create(null) as Record<string, unknown>; // any name is just a name, "__proto__" too
  if (options.metadata !== undefined) header.__metadata__ = options.metadata;
  const parts: Tensor[] = [];
  let end = 0;
  for (const [name, value] of Object.entries(tensors)) {
    if (name === "__metadata__")
      throw new HeadwiseError("invalid-option", "writeSafetensors: a tensor cannot be named __metadata__");
    const part = checkTensor(value, name);
    const begin = end;
    end += part.data.byteLength;
    header[name] = { dtype, shape: part.shape, data_offsets: [begin, end] };
    parts.push(part);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerLength = Math.ceil(json.length / 8) * 8; // padded with spaces, so that the data is aligned
  const bytes = new Uint8Array(8 + headerLength + end).fill(0x20, 8, 8 + headerLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(json, 8);
  let at = 8 + headerLength;
  for (const { data } of parts) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
