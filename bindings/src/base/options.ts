/**
 * Objects of options. A table has a check for each option, and is all that there is to say of it: its name, what it may be, its
 * default. Values are read once, before anything is checked: getters may change their mind.
 */
import { invalidOption, show, type Check } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { isObject, isThenable, namesOf, typeTag } from "./kinds.js";

/** A table that names every option of a public type, and no other: `{ … } satisfies OptionTable<ForwardOptions>`. */
export type OptionTable<Options> = { readonly [Name in keyof Required<Options>]: Check<unknown> };

/** What reading options by a table gives. */
export type Checked<Table> = { [Name in keyof Table]: Table[Name] extends Check<infer T> ? T : never };

/** An option that may be left out. */
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
 * The members of an object, each read once. Objects with members are plain ones and those of the caller's own classes,
 * whose getters are members too. All that has a kind of its own has none: a promise, a Map, a Date, an array, an element of a page.
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

/** Of no class; in any realm. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Reads the options of a call, whose messages name them by themselves; `prefix` stands before the names. */
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

/** Options inside of options: messages name them "window.left". Where they are left out, all have their defaults. */
export const group =
  <Table extends Record<string, Check<unknown>>>(table: Table): Check<Checked<Table>> =>
  (value, name) =>
    readOptions(value, name, table, `${name}.`);
