import { HeadwiseError } from "./errors.js";
import { invalidOption, invalidShape, isObject, maxExtent, typeTag } from "./checks.js";
import type { Tensor, TensorLike } from "./types.js";

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
  if (!Array.isArray(shape) && !/Array$/.test(typeTag(shape)))
    throw invalidOption(`${name}.shape`, "an array of integers", shape);
  const given = shape as ArrayLike<number>;
  const { length } = given;
  if (length > maxRank)
    throw new HeadwiseError("invalid-shape", `${name}.shape: expected at most ${maxRank} extents, got ${length}`);
  const extents: number[] = [];
  for (let axis = 0; axis < length; ++axis) extents.push(given[axis]!); // not by iteration: it may be detached
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

/** Makes a tensor of the data itself (not a copy), row-major. Throws `invalid-shape` unless data fills the shape. */
export function tensor(data: Float32Array, shape: readonly number[]): Tensor {
  if (typeTag(data) !== "Float32Array") throw invalidOption("tensor, data", "a Float32Array", data);
  return { data, shape: checkShape(shape, data.length, "tensor") };
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
  if (typeTag(data) !== "Float32Array") throw invalidOption(`${name}.data`, "a Float32Array", data);
  return { data: data as Float32Array, shape: checkShape(shape, (data as Float32Array).length, name) };
}

export function sameShape(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((extent, axis) => extent === other[axis]);
}

/** Refuses tensors of another shape. */
export function refuseOtherShape(t: Tensor, name: string, shape: readonly number[]): void {
  if (!sameShape(t.shape, shape)) throw invalidShape(name, `[${shape.join(", ")}]`, t.shape);
}

/** Refuses tensors with an empty axis. `mayBeEmpty`: an axis that is let pass. */
export function refuseEmpty(t: Tensor, name: string, mayBeEmpty?: number): void {
  if (t.shape.some((extent, axis) => extent === 0 && axis !== mayBeEmpty))
    throw invalidShape(name, "no empty axis" + (mayBeEmpty === undefined ? "" : " but that of the length"), t.shape);
}
