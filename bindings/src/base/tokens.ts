/** Converts token ids from every accepted form to the Int32Array that the core reads. */
import { elementsOf, invalidOption } from "./checks.js";
import { typeTag, viewOf } from "./kinds.js";
import { checkShape, isTensorLike, readTensor } from "./tensor.js";

/** Checked tokens: a copy, which the caller cannot change. */
export interface ReadTokens {
  readonly data: Int32Array;
  readonly shape: readonly number[];
}

const arrayTypes = ["Int32Array", "Uint8Array", "Uint16Array", "Uint32Array", "BigInt64Array"];

const isIds = (value: unknown) => Array.isArray(value) || arrayTypes.includes(typeTag(value));

function checkIds(value: unknown, name: string, expected: string, least: number, most: number): Int32Array {
  if (!isIds(value)) throw invalidOption(name, expected, value);
  const given = Array.isArray(value) ? elementsOf(value, name) : viewOf(value as Int32Array);
  const ids = new Int32Array(given.length);
  for (let n = 0; n < ids.length; ++n) {
    const id = typeof given[n] === "bigint" ? Number(given[n]) : given[n];
    if (!Number.isInteger(id) || (id as number) < least || (id as number) > most)
      throw invalidOption(`${name}[${n}]`, `an integer from ${least} to ${most}`, given[n]);
    ids[n] = id as number;
  }
  return ids;
}

/** Reads token ids from `least` to `most`. Ids without a shape are one row. */
export function readTokens(value: unknown, name: string, least: number, most: number): ReadTokens {
  const types = `${arrayTypes.join(", ")} or plain array`;
  if (!isTensorLike(value)) {
    const data = checkIds(value, name, `token ids (${types}), or { data, shape }`, least, most);
    return { data, shape: [data.length] };
  }
  const given = readTensor(value);
  const data = checkIds(given.data, `${name}.data`, types, least, most);
  return { data, shape: checkShape(given.shape, data.length, name) };
}
