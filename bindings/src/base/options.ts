/**
 * Objects of options. A table has one check for each option and defines it completely: its name, its allowed values and its default.
 * All values are read once, before any is checked, because a getter may return different values.
 */
import { invalidOption, show, type Check } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { isObject, isThenable, namesOf, typeTag } from "./kinds.js";

/** The type of a table with exactly the options of a public type: `{ … } satisfies OptionTable<ForwardOptions>`. */
export type OptionTable<Options> = { readonly [Name in keyof Required<Options>]: Check<unknown> };

/** The options that a table reads. */
export type Checked<Table> = { [Name in keyof Table]: Table[Name] extends Check<infer T> ? T : never };

/** An option that may be omitted. */
export const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, name) =>
    value === undefined ? undefined : check(value, name);

/** An option that has a default. */
export const withDefault =
  <T>(check: Check<T>, otherwise: T): Check<T> =>
  (value, name) =>
    value === undefined ? otherwise : check(value, name);

/**
 * The members of an object, each read once. It may be a plain object or an instance of the caller's own class, whose getters are members
 * too. Objects of a built-in kind are refused: promises, Maps, Dates, arrays, DOM elements.
 */
export function readMembers(value: unknown, name: string, expected: string): Map<string, unknown> {
  if (!hasMembers(value)) throw invalidOption(name, expected, value);
  const names = namesOf(value);
  if (names.length === 0 && !isPlain(value)) throw invalidOption(name, expected, value);
  return new Map(names.map((key) => [key, value[key]]));
}

export function hasMembers(value: unknown): value is Record<string, unknown> {
  return isObject(value) && typeTag(value) === "Object" && !isThenable(value);
}

/** Whether an object has no class, in any realm. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Reads the options of a call by a table. `name`: the call, for messages about the whole object. `prefix`: of the options' names in messages. */
export function readOptions<Table extends Record<string, Check<unknown>>>(
  value: unknown,
  name: string,
  table: Table,
  prefix = "",
): Checked<Table> {
  const names = Object.keys(table);
  const given = value === undefined ? undefined : readMembers(value, name, "an object of options");
  given?.forEach((member, key) => {
    if (member !== undefined && !names.includes(key)) {
      const message = `${name}: unknown option ${show(key)}; there are ${names.join(", ")}`;
      throw new HeadwiseError("invalid-option", message);
    }
  });
  const checked: Record<string, unknown> = {};
  for (const key of names) checked[key] = table[key]!(given?.get(key), prefix + key);
  return checked as Checked<Table>;
}

/** Options inside of options. Messages name them "window.left". If the group is omitted, all its options have their defaults. */
export const group =
  <Table extends Record<string, Check<unknown>>>(table: Table): Check<Checked<Table>> =>
  (value, name) =>
    readOptions(value, name, table, `${name}.`);
