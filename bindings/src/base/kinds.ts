/** What a value is, whatever it says of itself: classes and own properties of what users give may say anything. */

const typedArrayPrototype = /* @__PURE__ */ Object.getPrototypeOf(Uint8Array.prototype) as object;

/** A getter that all typed arrays have from their engine. Constants, which V8 inlines. */
const intrinsic = <T>(name: string | symbol) =>
  Object.getOwnPropertyDescriptor(typedArrayPrototype, name)!.get as (this: unknown) => T;
const tagOf = /* @__PURE__ */ intrinsic<string | undefined>(Symbol.toStringTag);
const lengthOf = /* @__PURE__ */ intrinsic<number>("length");
const bufferOf = /* @__PURE__ */ intrinsic<ArrayBuffer>("buffer");
const byteOffsetOf = /* @__PURE__ */ intrinsic<number>("byteOffset");

/**
 * "Float32Array", "Object" and the like; the same for arrays of another realm, where `instanceof` fails. Nothing but a typed
 * array has the tag of one.
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

/** A promise, or what `await` takes for one. */
export function isThenable(value: unknown): boolean {
  return isObject(value) && typeof value.then === "function";
}

/** What typed arrays have in common. */
export type TypedArray = ArrayBufferView & { readonly length: number; readonly BYTES_PER_ELEMENT: number };

type TypedArrayClass<T> = new (from: number | ArrayBufferLike, byteOffset?: number, length?: number) => T;

/**
 * A fresh view of a typed array's memory, of the engine's own class: subclasses and own properties may say another length. The
 * view of an array whose memory is gone is empty.
 */
export function viewOf<T extends TypedArray>(array: T): T {
  const Type = globalThis[typeTag(array) as "Float32Array"] as unknown as TypedArrayClass<T>;
  const length = lengthOf.call(array);
  return length === 0 ? new Type(0) : new Type(bufferOf.call(array), byteOffsetOf.call(array), length);
}

/** A copy of a typed array alone, without the rest of its buffer. Not `array.slice()`, which in Node's Buffer is a view. */
export function copyOfArray<T extends TypedArray>(array: T, begin?: number, end?: number): T {
  return (viewOf(array) as unknown as Uint8Array).slice(begin, end) as unknown as T;
}

/** All names that can be read of an object: its own, and what its classes declare as getters. */
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
