/** The header of a safetensors file: an 8-byte length, then JSON `{ name: { dtype, shape, data_offsets }, … }`. */
import { decodeUtf8 } from "../base/utf8.js";
import { show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { copyOfArray, isObject } from "../base/kinds.js";
import { parseJson } from "./json.js";
import { product } from "../base/tensor.js";

/** A tensor's entry in the header. Its bytes are `begin` to `end` after the header. */
export interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const maxHeaderBytes = 100_000_000; // the limit of the format's own reader
export const metadataKey = "__metadata__";

export function invalidFile(message: string, cause?: unknown): HeadwiseError {
  return new HeadwiseError("invalid-file", `safetensors: ${message}`, { cause });
}

/** An error about one tensor. */
export function invalidTensor(name: string, message: string): HeadwiseError {
  return invalidFile(`tensor ${show(name)}: ${message}`);
}

/** The header's JSON, `{ name: { key: […] } }`. */
function parseHeader(bytes: Uint8Array, begin: number, end: number): Record<string, unknown> {
  let text: string;
  try {
    // A copy, because decoders refuse shared memory.
    text = decodeUtf8(copyOfArray(bytes, begin, end), { ignoreBOM: true });
  } catch (error) {
    throw invalidFile("the header is not UTF-8", error);
  }
  const header = parseJson(text, "{{[", (message, key) =>
    key === undefined
      ? invalidFile(`the header ${message}`)
      : invalidTensor(key, "its entry is not an object of a string and two arrays of counts"),
  );
  if (!isObject(header)) throw invalidFile("the header is not a JSON object");
  return header;
}

/** Bits of an element. NaN for unknown types, which a file may contain. */
const bitsOf = (dtype: string) => (dtype === "BOOL" ? 8 : Number(/^(?:[FIU]|BF)(\d+)(?:_E\dM\d)?$/.exec(dtype)?.[1]));

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(name: string, value: unknown, dataBytes: number): Entry {
  if (!isObject(value)) throw invalidTensor(name, "its entry is not an object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw invalidTensor(name, "its dtype is missing");
  if (!Array.isArray(shape) || !shape.every(isCount)) throw invalidTensor(name, "its shape is not an array of counts");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw invalidTensor(name, "its data_offsets are not two counts");
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    throw invalidTensor(name, `its bytes ${begin} to ${end} are not within the file's ${dataBytes}`);
  const bits = bitsOf(dtype);
  const bytes = (product(shape) * bits) / 8;
  if (bits > 0 && bytes !== end - begin)
    throw invalidTensor(name, `shape ${show(shape)} of ${dtype} needs ${bytes} bytes, but it has ${end - begin}`);
  return { dtype, shape, begin, end };
}

/** Checks that every byte belongs to exactly one tensor, as the format requires. Returns the number of bytes. */
function checkCoverage(entries: Map<string, Entry>, dataBytes: number): number {
  let covered = 0;
  let before = "";
  for (const [name, { begin, end }] of [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered) throw invalidTensor(name, `its bytes overlap those of ${show(before)}`);
    if (begin > covered)
      throw invalidTensor(name, `the bytes ${covered} to ${begin} before its own belong to no tensor`);
    covered = end;
    before = name;
  }
  if (covered < dataBytes && dataBytes < Infinity)
    throw invalidFile(`the bytes ${covered} to ${dataBytes} belong to no tensor`);
  return covered;
}

/** The length of the JSON, from a file's first 8 bytes. `fileBytes`: the file's size, Infinity if unknown. */
export function readHeaderLength(bytes: Uint8Array, fileBytes: number): number {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > maxHeaderBytes || length > fileBytes - 8)
    throw invalidFile(
      `the header is said to have ${length} bytes, ` +
        (length > maxHeaderBytes ? "more than a safetensors file may have" : `but ${fileBytes - 8} follow`),
    );
  return length;
}

/**
 * Reads and checks the header of a file of at least 8 bytes. `bytes`: the file, or its beginning with at least the header.
 * `fileBytes`: its size, Infinity if unknown. Throws `invalid-file` with the tensor's name.
 */
export function readHeader(bytes: Uint8Array, fileBytes = bytes.byteLength) {
  const dataStart = 8 + readHeaderLength(bytes, fileBytes);
  const header = parseHeader(bytes, 8, dataStart);
  const entries = new Map<string, Entry>();
  for (const name of Object.keys(header)) {
    if (name !== metadataKey) entries.set(name, parseEntry(name, header[name], fileBytes - dataStart));
  }
  const dataBytes = checkCoverage(entries, fileBytes - dataStart);
  const metadata = header[metadataKey] ?? {}; // null counts as none, as in the format's own reader
  if (!isStrings(metadata)) throw invalidFile(`${metadataKey} is not an object of strings`);
  return { metadata, entries, dataStart, dataBytes };
}

/** Whether a value is an object of strings, as metadata must be. */
export function isStrings(value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string");
}
