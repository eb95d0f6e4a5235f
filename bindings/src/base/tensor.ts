import { elementsOf, invalidOption, invalidShape, maxExtent } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { isObject, typeTag, viewOf, type TypedArray } from "./kinds.js";
import type { HalfFloats, Tensor, TensorLike } from "./types.js";

/** The number of elements of a shape. */
export function product(shape: readonly number[]): number {
  return shape.reduce((count, extent) => count * extent, 1);
}

/** A buffer of zeros. Throws `out-of-memory` if the engine cannot allocate it. */
export function allocate(bytes: number): ArrayBuffer {
  try {
    return new Uint8Array(bytes).buffer; // not `new ArrayBuffer`, which may be larger than any typed array
  } catch (error) {
    throw new HeadwiseError("out-of-memory", `no room for ${bytes} bytes`, { cause: error });
  }
}

const maxRank = 32;

/** Reads a shape: a new array of integers >= 0 whose product is `count`. */
export function checkShape(shape: unknown, count: number, name: string): number[] {
  const isTyped = /.Array$/.test(typeTag(shape));
  if (!Array.isArray(shape) && !isTyped) throw invalidOption(`${name}.shape`, "an array of integers", shape);
  const given = isTyped ? viewOf(shape as Int32Array) : (shape as number[]);
  const extents = elementsOf(given, `${name}.shape`, maxRank) as number[];
  for (const extent of extents) {
    if (!Number.isInteger(extent) || extent < 0) throw invalidOption(`${name}.shape`, "integers >= 0", extents);
  }
  if (extents.some((extent) => extent > maxExtent)) throw invalidShape(name, `extents up to ${maxExtent}`, extents);
  if (product(extents) !== count) {
    throw new HeadwiseError(
      "invalid-shape",
      `${name}: shape [${extents.join(", ")}] needs ${product(extents)} elements, but data has ${count}`,
    );
  }
  return extents;
}

/** Makes a row-major tensor. A Float32Array is used without a copy, a Float16Array is converted. Throws `invalid-shape` if the number of elements is not that of the shape. */
export function tensor(data: Float32Array | HalfFloats, shape: readonly number[]): Tensor {
  const floats = floatsOf(data, "tensor, data");
  return {
    data: typeTag(data) === "Float32Array" ? (data as Float32Array) : floats,
    shape: checkShape(shape, floats.length, "tensor"),
  };
}

/** Whether an argument is meant as a tensor: it has `data`. */
export function isTensorLike(value: unknown): value is TensorLike {
  return isObject(value) && "data" in value;
}

/** Data and shape of a tensor or a mask. Each property is read once, because a getter may return different values. */
export function readTensor(value: TensorLike): { data: unknown; shape: unknown } {
  const { data, shape, dims } = value as { data: unknown; shape?: unknown; dims?: unknown };
  return { data, shape: shape === undefined ? dims : shape };
}

/** Reads a tensor argument, with `shape` or with `dims`, and checks that data and shape fit. */
export function checkTensor(value: unknown, name: string): Tensor {
  if (!isTensorLike(value)) throw invalidOption(name, "a tensor { data, shape }", value);
  const { data, shape } = readTensor(value);
  const floats = floatsOf(data, `${name}.data`);
  return { data: floats, shape: checkShape(shape, floats.length, name) };
}

/** A view of float32 data, or float16 data converted to float32. */
export function floatsOf(data: unknown, name: string): Float32Array {
  const tag = typeTag(data);
  if (tag === "Float16Array") return new Float32Array(viewOf(data as Float32Array));
  if (tag !== "Float32Array") throw invalidOption(name, "a Float32Array", data);
  return viewOf(data as Float32Array);
}

/** Whether two arrays are the same memory. True for two empty arrays. */
export function isSameMemory(a: TypedArray, b: TypedArray): boolean {
  if (a.byteLength !== b.byteLength) return false;
  return a.byteLength === 0 || (a.buffer === b.buffer && a.byteOffset === b.byteOffset);
}

/** Whether two tensors have the same memory and shape. */
export function isSame(a: Tensor, b: Tensor): boolean {
  return a === b || (isSameMemory(a.data, b.data) && sameShape(a.shape, b.shape));
}

export function sameShape(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((extent, axis) => extent === other[axis]);
}

/** Refuses tensors of another shape. */
export function refuseOtherShape(t: Tensor, name: string, shape: readonly number[]): void {
  if (!sameShape(t.shape, shape)) throw invalidShape(name, `[${shape.join(", ")}]`, t.shape);
}

/** Refuses an empty axis in a tensor [batch, …, length, width], or at rank 2 [length, width]. Batch and length may be empty. */
export function refuseEmpty(t: Tensor, name: string): void {
  const rank = t.shape.length;
  if (t.shape.some((extent, axis) => extent === 0 && axis !== rank - 2 && (axis !== 0 || rank === 2)))
    throw invalidShape(name, "no empty axis but batch and length", t.shape);
}
