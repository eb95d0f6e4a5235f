/** The vocabulary of argument checks: each throws a HeadwiseError that says what was expected beside what was given. */
import { HeadwiseError } from "./errors.js";

/** A value as an error message shows it. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value) && value.length <= 8) {
    return `[${value.map((element) => (Array.isArray(element) ? "[…]" : show(element))).join(", ")}]`;
  }
  const tag = typeTag(value);
  return /^[AEIOU]/.test(tag) ? `an ${tag}` : `a ${tag}`;
}

/** Reads what kind of typed array something is; undefined of anything else, whatever that says of itself. A constant, which V8 inlines. */
const tagOfTypedArray = /* @__PURE__ */ Object.getOwnPropertyDescriptor(
  /* @__PURE__ */ Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get as (this: unknown) => string | undefined;

/**
 * "Float32Array", "Object" and the like; the same for arrays of another realm, where `instanceof` fails. Nothing but a typed
 * array has the tag of one.
 */
export function typeTag(value: unknown): string {
  const typed = tagOfTypedArray.call(value);
  if (typed !== undefined) return typed;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  return /.Array$/.test(tag) ? "Object" : tag;
}

/** A copy of a typed array alone, without the rest of its buffer. Not `array.slice()`, which in Node's Buffer is a view. */
export function copyOfArray<T extends ArrayBufferView>(array: T, begin?: number, end?: number): T {
  return Object.getPrototypeOf(Uint8Array).prototype.slice.call(array, begin, end) as T;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

export function invalidOption(name: string, expected: string, given: unknown): HeadwiseError {
  return new HeadwiseError("invalid-option", `${name}: expected ${expected}, got ${show(given)}`);
}

export function invalidShape(name: string, expected: string, given: readonly number[]): HeadwiseError {
  return new HeadwiseError("invalid-shape", `${name}: expected ${expected}, got shape [${given.join(", ")}]`);
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

/** A copy of options that have no names but the ones allowed. Each is read once: getters may change their mind. */
export function checkOptions<T extends object>(
  value: T | undefined,
  name: string,
  allowed: readonly (keyof T & string)[],
): Partial<T> {
  if (value === undefined) return {};
  if (!isObject(value) || Array.isArray(value)) throw invalidOption(name, "an object", value);
  const options: Record<string, unknown> = {};
  for (const key of namesOf(value)) {
    options[key] = (value as Record<string, unknown>)[key];
    if (options[key] !== undefined && !(allowed as readonly string[]).includes(key)) {
      throw new HeadwiseError(
        "invalid-option",
        `${name}: unknown option ${show(key)}; there are ${allowed.join(", ")}`,
      );
    }
  }
  return options as Partial<T>;
}

/** The largest extent: products of these are checked where they are formed. */
export const maxExtent = 2 ** 31 - 1;

export function checkInteger(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    const range = most >= maxExtent && least >= 0 ? `>= ${least}` : `from ${least} to ${most}`;
    throw invalidOption(name, `an integer ${range}`, value);
  }
  return value;
}

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw invalidOption(name, "true or false", value);
  return value;
}

export function checkOneOf<T>(value: unknown, name: string, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw invalidOption(name, `one of ${allowed.map(show).join(", ")}`, value);
  return value as T;
}

/** `scale`, `softcap` and the like. */
export function checkScale(value: unknown, name = "scale"): number {
  if (typeof value !== "number" || !Number.isFinite(Math.fround(value)) || value < 0) {
    throw invalidOption(name, "a finite float32 number >= 0", value);
  }
  return value;
}

/** Factors of the heads' outputs, [numHeads]. */
export function checkGates(value: unknown, name: string, numHeads: number): Float32Array {
  const gates = checkArray<Float32Array>(value, name, "Float32Array", numHeads);
  const wrong = gates.find((gate) => !Number.isFinite(gate));
  if (wrong !== undefined) throw invalidOption(name, "finite numbers", wrong);
  return gates;
}

/** A one-dimensional array of one type and length. */
export function checkArray<T extends Float32Array | Int32Array>(
  value: unknown,
  name: string,
  type: T extends Float32Array ? "Float32Array" : "Int32Array",
  length: number,
): T {
  if (typeTag(value) !== type)
    throw invalidOption(name, type === "Int32Array" ? "an Int32Array" : "a Float32Array", value);
  const array = value as T;
  if (array.length !== length) {
    throw new HeadwiseError("invalid-shape", `${name}: expected ${length} elements, got ${array.length}`);
  }
  return length === 0 ? (new globalThis[type](0) as T) : array; // a detached one has no methods
}

/** Distinct indices of heads, below `numHeads`. */
export function checkHeadList(heads: unknown, name: string, numHeads: number): Set<number> {
  if (!Array.isArray(heads)) throw invalidOption(name, "an array of head indices", heads);
  const set = new Set<number>();
  for (const head of heads) {
    if (numHeads === 0) throw new HeadwiseError("invalid-option", `${name}: no head is left`);
    checkInteger(head, `${name}, head`, 0, numHeads - 1);
    if (set.has(head)) throw new HeadwiseError("invalid-option", `${name}: head ${head} is given twice`);
    set.add(head);
  }
  return set;
}
