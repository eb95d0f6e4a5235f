import { elementsOf, invalidOption, invalidShape, maxExtent } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { isObject, typeTag, viewOf, type TypedArray } from "./kinds.js";
import type { HalfFloats, Tensor, TensorLike } from "./types.js";

/** Elements of a shape. */
export function product(shape: readonly number[]): number {
  return shape.reduce((count, extent) => count * extent, 1);
}

/** A buffer of zeros. Throws `out-of-memory` where the engine has no room. */
export function allocate(bytes: number): ArrayBuffer {
  try {
    return new Uint8Array(bytes).buffer; // not ArrayBuffer, which may be greater than any array
  } catch (error) {
    throw new HeadwiseError("out-of-memory", `no room for ${bytes} bytes`, { cause: error });
  }
}

const maxRank = 32;

/** The shape as a fresh array of integers >= 0 whose product is `count`. */
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

/** Makes a tensor of the data itself (not a copy, unless they are half floats), row-major. Throws `invalid-shape` unless data fills the shape. */
export function tensor(data: Float32Array | HalfFloats, shape: readonly number[]): Tensor {
  const floats = floatsOf(data, "tensor, data");
  return {
    data: typeTag(data) === "Float32Array" ? (data as Float32Array) : floats,
    shape: checkShape(shape, floats.length, "tensor"),
  };
}

/** Whether an argument is meant to be a tensor: it has data. */
export function isTensorLike(value: unknown): value is TensorLike {
  return isObject(value) && "data" in value;
}

/** What a tensor or a mask says it is. Each property is read once: getters may change their mind. */
export function readTensor(value: TensorLike): { data: unknown; shape: unknown } {
  const { data, shape, dims } = value as { data: unknown; shape?: unknown; dims?: unknown };
  return { data, shape: shape === undefined ? dims : shape };
}

/** Reads a tensor argument, ours or one with `dims`, and checks everything about it but the meaning of its shape. */
export function checkTensor(value: unknown, name: string): Tensor {
  if (!isTensorLike(value)) throw invalidOption(name, "a tensor { data, shape }", value);
  const { data, shape } = readTensor(value);
  const floats = floatsOf(data, `${name}.data`);
  return { data: floats, shape: checkShape(shape, floats.length, name) };
}

/** A view of floats, or of halves the floats that they stand for. */
export function floatsOf(data: unknown, name: string): Float32Array {
  const tag = typeTag(data);
  if (tag === "Float16Array") return new Float32Array(viewOf(data as Float32Array));
  if (tag !== "Float32Array") throw invalidOption(name, "a Float32Array", data);
  return viewOf(data as Float32Array);
}

/** Whether two arrays are the same memory. All that are empty are. */
export function isSameMemory(a: TypedArray, b: TypedArray): boolean {
  if (a.byteLength !== b.byteLength) return false;
  return a.byteLength === 0 || (a.buffer === b.buffer && a.byteOffset === b.byteOffset);
}

/** Whether two tensors are the same numbers in the same memory. */
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

/** Refuses tensors of [batch, …, length, width] with an empty axis, but for batch and length; at rank 2 there is no batch. */
export function refuseEmpty(t: Tensor, name: string): void {
  const rank = t.shape.length;
  if (t.shape.some((extent, axis) => extent === 0 && axis !== rank - 2 && (axis !== 0 || rank === 2)))
    throw invalidShape(name, "no empty axis but batch and length", t.shape);
}
