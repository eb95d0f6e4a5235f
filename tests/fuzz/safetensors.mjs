// Mutated safetensors files: the reader must refuse each with `invalid-file`, or give tensors that are what the file says.
import { performance } from "node:perf_hooks";

import { HeadwiseError, readSafetensors } from "../../dist/index.js";
import { product } from "../js/reference.mjs";

/** Whole numbers from a seed (mulberry32): `pick(n)` is one of 0 … n − 1. */
function picker(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

const widths = { F32: 4, F16: 2, BF16: 2, F64: 8, I64: 8, U8: 1, BOOL: 1, F8_E4M3: 1, X9: 3 }; // X9: no type of the format

/** The header of a sound file with up to 5 tensors, as an object. */
function soundHeader(pick) {
  const header = pick(3) === 0 ? { __metadata__: { format: "pt" } } : {};
  let end = 0;
  for (let n = pick(6); n > 0; --n) {
    const dtype = Object.keys(widths)[pick(Object.keys(widths).length)];
    const shape = Array.from({ length: pick(4) }, () => pick(5));
    const begin = end;
    end += product(shape) * widths[dtype];
    header[["weight", "a.bias", "ü", "__proto__x", '"'][n - 1]] = { dtype, shape, data_offsets: [begin, end] };
  }
  return { header, dataBytes: end };
}

const oddities = [
  ...[-1, -0, 0.5, 1, 3, 1e9, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 64, 1e308, null, true, "", "F32", "F16"],
  ...[[], {}, [0], [0, 0], [0, 8], [[]], [2 ** 53, 0], [2 ** 52, 2 ** 52], Array(400).fill(2 ** 53), { dtype: "F32" }],
];

/** Replaces, removes or repeats something in the header. */
function mutateHeader(header, pick) {
  const places = [];
  const collect = (object) => {
    for (const key of Object.keys(object)) {
      places.push([object, key]);
      if (typeof object[key] === "object" && object[key] !== null) collect(object[key]);
    }
  };
  collect(header);
  const odd = structuredClone(oddities[pick(oddities.length)]);
  if (places.length === 0) return (header.x = odd);
  const [object, key] = places[pick(places.length)];
  const action = pick(5);
  if (action === 0) delete object[key];
  else if (action === 1 && typeof object[key] === "number") object[key] += pick(9) - 4;
  else if (action === 2) object[`${key}'`] = structuredClone(object[key]);
  else object[key] = odd;
}

/** Changes, cuts out or repeats some bytes. */
function mutateBytes(bytes, pick) {
  const at = pick(bytes.length + 1);
  const end = Math.min(at + 1 + pick(pick(4) === 0 ? bytes.length + 1 : 9), bytes.length);
  const [before, piece, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
  const brackets = Buffer.from("[{".charAt(pick(2)).repeat(1 + pick(300)));
  const noise = Buffer.from(Array.from({ length: piece.length }, () => pick(256)));
  const middle = [[noise], [], [piece, piece], [brackets, piece], [Buffer.from('{}[]",:\\0'.charAt(pick(9)))]][pick(5)];
  return Buffer.concat([before, ...middle, after]);
}

function makeFile(pick) {
  const { header, dataBytes } = soundHeader(pick);
  for (let n = pick(3); n > 0; --n) mutateHeader(header, pick);
  const json = Buffer.from(JSON.stringify(header) + " ".repeat(pick(9)));
  const length = Buffer.alloc(8);
  const lengths = [json.length + pick(17) - 8, pick(256), 2 ** 31 + pick(9), 2 ** 53];
  length.writeBigUInt64LE(BigInt(Math.max(0, pick(6) === 0 ? lengths[pick(4)] : json.length)));
  const data = Buffer.from(
    Array.from({ length: Math.max(0, dataBytes + (pick(6) === 0 ? pick(9) - 4 : 0)) }, () => pick(256)),
  );
  let bytes = Buffer.concat([length, json, data]);
  for (let n = pick(2); n > 0; --n) bytes = mutateBytes(bytes, pick);
  const shift = pick(4); // at any alignment
  return new Uint8Array(Buffer.concat([Buffer.alloc(shift), bytes])).subarray(shift);
}

/** The numbers of a tensor, read by way of the header again, with arithmetic of this file alone. */
function expectedValues(bytes, dtype, begin, end) {
  const view = new DataView(bytes.buffer, bytes.byteOffset + begin, end - begin);
  const half = (word, fraction, bias) => {
    const [exponent, digits] = [(word & 0x7fff) >> fraction, word & ((1 << fraction) - 1)];
    const sign = word >> 15 === 1 ? -1 : 1;
    if (exponent === 2 * bias + 1) return digits === 0 ? sign * Infinity : NaN;
    return sign * (Math.min(exponent, 1) + digits / 2 ** fraction) * 2 ** (Math.max(exponent, 1) - bias);
  };
  const readers = {
    F32: (at) => view.getFloat32(at, true),
    F16: (at) => half(view.getUint16(at, true), 10, 15),
    BF16: (at) => half(view.getUint16(at, true), 7, 127),
  };
  const width = widths[dtype];
  return Array.from({ length: view.byteLength / width }, (_, n) => readers[dtype](n * width));
}

/** Throws unless the reader does with these bytes what it must. Returns whether it took them. */
function check(bytes) {
  const isInvalidFile = (error) => error instanceof HeadwiseError && error.code === "invalid-file";
  let file;
  try {
    file = readSafetensors(bytes);
  } catch (error) {
    if (!isInvalidFile(error)) throw error;
    return false;
  }
  const dataStart = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.slice(8, dataStart)));
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  if (String(file.names) !== String(names)) throw new Error(`names ${file.names}, expected ${names}`);
  let covered = 0;
  for (const name of names) {
    const { dtype, shape } = file.info(name);
    const [begin, end] = header[name].data_offsets;
    covered += end - begin;
    const sound = typeof dtype === "string" && shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0);
    if (!sound || dtype !== header[name].dtype || String(shape) !== String(header[name].shape))
      throw new Error(`${name} is said to be ${dtype}, [${shape}]`);
    let tensor;
    try {
      tensor = file.tensor(name);
    } catch (error) {
      if (!isInvalidFile(error) || ["F32", "F16", "BF16"].includes(dtype)) throw error;
      continue;
    }
    const values = expectedValues(bytes, dtype, dataStart + begin, dataStart + end);
    if (product(tensor.shape) !== tensor.data.length || values.length !== tensor.data.length)
      throw new Error(`${name}: [${tensor.shape}] has ${tensor.data.length} numbers, expected ${values.length}`);
    const wrong = values.findIndex((value, n) => !Object.is(value, tensor.data[n]));
    if (wrong >= 0) throw new Error(`${name}: number ${wrong} is ${tensor.data[wrong]}, expected ${values[wrong]}`);
  }
  if (dataStart + covered !== bytes.length) throw new Error("bytes that belong to no tensor, or are those of two");
  return true;
}

/**
 * Reads mutated files, `iterations` of them or for some `seconds`, and throws at the first that is not dealt with as it
 * must be; the message tells how to read that file alone. Returns how many files were taken and refused.
 */
export function fuzzSafetensors({ seconds = Infinity, iterations = Infinity, seed = Date.now() % 2 ** 32, first = 0 }) {
  const counts = { seed, taken: 0, refused: 0 };
  const deadline = performance.now() + 1000 * seconds;
  for (let n = first; n < first + iterations && performance.now() < deadline; ++n) {
    const bytes = makeFile(picker(seed + Math.imul(n, 0x9e3779b1)));
    try {
      ++counts[check(bytes) ? "taken" : "refused"];
    } catch (error) {
      const again = `fuzzSafetensors({ seed: ${seed}, first: ${n}, iterations: 1 })`;
      throw new Error(`${again}: ${error.message}; ${Buffer.from(bytes).toString("base64")}`, { cause: error });
    }
  }
  return counts;
}
