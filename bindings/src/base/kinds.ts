/** The real kinds of values. Classes and own properties of a user's object may claim anything, so they are not trusted. */

const typedArrayPrototype = /* @__PURE__ */ Object.getPrototypeOf(Uint8Array.prototype) as object;

/** The engine's own getter of all typed arrays. The getters are constants, so V8 inlines them. */
const intrinsic = <T>(name: string | symbol) =>
  Object.getOwnPropertyDescriptor(typedArrayPrototype, name)!.get as (this: unknown) => T;
const tagOf = /* @__PURE__ */ intrinsic<string | undefined>(Symbol.toStringTag);
const lengthOf = /* @__PURE__ */ intrinsic<number>("length");
const bufferOf = /* @__PURE__ */ intrinsic<ArrayBuffer>("buffer");
const byteOffsetOf = /* @__PURE__ */ intrinsic<number>("byteOffset");

/**
 * "Float32Array", "Object" and so on. Works for arrays of another realm, for which `instanceof` fails. Only a typed array gets the tag
 * of a typed array.
 */
export function typeTag(value: unknown): string {
  const typed = tagOf.call(value);
  if (typed !== undefined) return typed;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  return /.Array$/.test(tag) ? "Object" : tag;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Files too: they are Blobs with a name. */
export const isBlob = (value: unknown): value is Blob => /^(Blob|File)$/.test(typeTag(value));

/** A promise, or what `await` takes for one. */
export function isThenable(value: unknown): boolean {
  return isObject(value) && typeof value.then === "function";
}

/** Any typed array. */
export type TypedArray = ArrayBufferView & { readonly length: number; readonly BYTES_PER_ELEMENT: number };

type TypedArrayClass<T> = new (from: number | ArrayBufferLike, byteOffset?: number, length?: number) => T;

/**
 * A new view of a typed array's memory, of the engine's own class. Subclasses and own properties may claim another length. The view
 * of a detached array is empty.
 */
export function viewOf<T extends TypedArray>(array: T): T {
  const Type = globalThis[typeTag(array) as "Float32Array"] as unknown as TypedArrayClass<T>;
  const length = lengthOf.call(array);
  return length === 0 ? new Type(0) : new Type(bufferOf.call(array), byteOffsetOf.call(array), length);
}

/** A copy of a typed array, without the rest of its buffer. `array.slice()` would be a view for Node's Buffer. */
export function copyOfArray<T extends TypedArray>(array: T, begin?: number, end?: number): T {
  return (viewOf(array) as unknown as Uint8Array).slice(begin, end) as unknown as T;
}

/** All property names of an object: its own, and the getters of its classes. */
export function namesOf(object: object): string[] {
  const names = new Set(Object.keys(object));
  let prototype = Object.getPrototypeOf(object) as object | null;
  while (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    for (const [name, { get, enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (get !== undefined || enumerable) names.add(name);
    }
    prototype = Object.getPrototypeOf(prototype) as object | null;
  }
  return [...names];
}
