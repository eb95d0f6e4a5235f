/** Checks of arguments. Each throws a HeadwiseError with what was expected and what was given. */
import { HeadwiseError } from "./errors.js";
import { copyOfArray, isThenable, typeTag } from "./kinds.js";

/**
 * Reads one argument or option and returns its value, or throws. `name` is the argument's name in messages. The returned value
 * does not change if the caller's object does.
 */
export type Check<T> = (value: unknown, name: string) => T;

/** A value as an error message shows it. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value) && value.length <= 8) {
    const elements = Array.from({ length: value.length }, (_, n) => value[n] as unknown);
    return `[${elements.map((element) => (Array.isArray(element) ? "[…]" : show(element))).join(", ")}]`;
  }
  const tag = typeTag(value);
  return /^[AEIOU]/.test(tag) ? `an ${tag}` : `a ${tag}`;
}

export function invalidOption(name: string, expected: string, given: unknown): HeadwiseError {
  const hint = isThenable(given) ? "; did you forget await?" : "";
  return new HeadwiseError("invalid-option", `${name}: expected ${expected}, got ${show(given)}${hint}`);
}

export function invalidShape(name: string, expected: string, given: readonly number[]): HeadwiseError {
  return new HeadwiseError("invalid-shape", `${name}: expected ${expected}, got shape [${given.join(", ")}]`);
}

/** The largest extent. Products of extents are checked where they are computed. */
export const maxExtent = 2 ** 31 - 1;

export function checkInteger(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most)
    throw invalidOption(name, `an integer from ${least} to ${most}`, value);
  return value;
}

export const integer =
  (least: number, most = maxExtent): Check<number> =>
  (value, name) =>
    checkInteger(value, name, least, most);

export const seed = /* @__PURE__ */ integer(0, 2 ** 32 - 1);

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw invalidOption(name, "true or false", value);
  return value;
}

export function checkOneOf<T>(value: unknown, name: string, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw invalidOption(name, `one of ${allowed.map(show).join(", ")}`, value);
  return value as T;
}

export const oneOf =
  <const T>(allowed: readonly T[]): Check<T> =>
  (value, name) =>
    checkOneOf(value, name, allowed);

/** Ranges of numbers, as messages show them. */
const ranges = {
  "": () => true,
  ">= 0": (x: number) => x >= 0,
  "> 0": (x: number) => x > 0,
  ">= 0 and < 1": (x: number) => x >= 0 && x < 1,
  ">= 0 and <= 1": (x: number) => x >= 0 && x <= 1,
  "> 0 and <= 1": (x: number) => x > 0 && x <= 1,
};

const numberIn =
  (kind: string, round: (x: number) => number) =>
  (range: keyof typeof ranges): Check<number> =>
  (value, name) => {
    const fits = (x: number) => Number.isFinite(x) && ranges[range](x);
    if (typeof value === "number" && fits(value) && fits(round(value))) return value;
    throw invalidOption(name, `a finite ${kind} ${range}`.trimEnd(), value);
  };

/** A number that the core computes with. It must be finite and in the range after rounding to float32, too. */
export const float32 = /* @__PURE__ */ numberIn("float32 number", Math.fround);

/** A number that only TypeScript computes with. */
export const float64 = /* @__PURE__ */ numberIn("number", (x) => x);

/** A function. It is returned as it is. */
export function checkFunction(value: unknown, name: string): (...args: never) => unknown {
  if (typeof value !== "function") throw invalidOption(name, "a function", value);
  return value as () => unknown;
}

/** Reads an Int32Array as a copy, which the caller cannot change. */
export function checkInt32Array(value: unknown, name: string): Int32Array {
  if (typeTag(value) !== "Int32Array") throw invalidOption(name, "an Int32Array", value);
  return copyOfArray(value as Int32Array);
}

/** Reads head gates as a copy. */
export function checkGates(value: unknown, name: string): Float32Array {
  if (typeTag(value) !== "Float32Array") throw invalidOption(name, "a Float32Array", value);
  const gates = copyOfArray(value as Float32Array);
  const wrong = gates.find((gate) => !Number.isFinite(gate));
  if (wrong !== undefined) throw invalidOption(name, "finite numbers", wrong);
  return gates;
}

/** Refuses an array of another length. */
export function refuseOtherLength(array: { readonly length: number }, name: string, length: number): void {
  if (array.length !== length)
    throw new HeadwiseError("invalid-shape", `${name}: expected ${length} elements, got ${array.length}`);
}

/** Limit for plain arrays: a sparse array may have a length of four billion, and a loop would visit all of them. */
export const maxElements = 2 ** 20;

/**
 * The elements of a plain array, each read once. They are read by index, because an array may have its own methods and iterator, and
 * because holes count as elements.
 */
export function readList(value: unknown, name: string, expected: string, most = maxElements): unknown[] {
  if (!Array.isArray(value)) throw invalidOption(name, expected, value);
  return elementsOf(value, name, most);
}

/** The elements of an array-like object. */
export function elementsOf(value: ArrayLike<unknown>, name: string, most = maxElements): unknown[] {
  const { length } = value;
  if (!(length >= 0 && length <= most))
    throw new HeadwiseError("invalid-shape", `${name}: expected at most ${most} elements, got ${show(length)}`);
  const elements: unknown[] = [];
  for (let n = 0; n < length; ++n) elements.push(value[n]);
  return elements;
}

/** Distinct indices of heads, below `numHeads`. */
export function checkHeadList(value: unknown, name: string, numHeads: number): Set<number> {
  const heads = readList(value, name, "an array of head indices");
  const set = new Set<number>();
  for (const element of heads) {
    if (numHeads === 0) throw new HeadwiseError("invalid-option", `${name}: no head is left`);
    const head = checkInteger(element, `${name}, head`, 0, numHeads - 1);
    if (set.has(head)) throw new HeadwiseError("invalid-option", `${name}: head ${head} is given twice`);
    set.add(head);
  }
  return set;
}
