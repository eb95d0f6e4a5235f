/** Which keys queries may attend to: the options that attention, the module and `analyzeHeads` share. */
import {
  checkBoolean,
  checkInt32Array,
  checkInteger,
  integer,
  invalidOption,
  invalidShape,
  maxExtent,
  refuseOtherLength,
} from "../base/checks.js";
import { typeTag, viewOf, type TypedArray } from "../base/kinds.js";
import { group, optional, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { checkShape, floatsOf, isTensorLike, readTensor } from "../base/tensor.js";
import type { Pointers } from "../runtime/instance.js";
import type { VisibilityArgument } from "../runtime/native.js";
import type { VisibilityOptions } from "./types.js";

type Extents = readonly [batch: number, heads: number, queries: number, keys: number];

/** Values of the core's MaskType. */
const maskTypes: Record<string, number> = {
  ...{ Float32Array: 1, Float16Array: 1 },
  ...{ Uint8Array: 2, Int32Array: 3, BigInt64Array: 4 },
};

function checkMask(value: unknown, name: string) {
  if (!isTensorLike(value)) throw invalidOption(name, "{ data, shape }", value);
  const given = readTensor(value);
  const type = maskTypes[typeTag(given.data)];
  if (type === undefined)
    throw invalidOption(`${name}.data`, "a Float32Array, Uint8Array, Int32Array or BigInt64Array", given.data);
  const data: TypedArray =
    type === maskTypes.Float32Array ? floatsOf(given.data, name) : viewOf(given.data as Int32Array);
  return { type, data, shape: checkShape(given.shape, data.length, name) };
}

/** Reads a key mask as a copy in bytes. */
function checkKeyMask(value: unknown, name: string) {
  if (!isTensorLike(value)) throw invalidOption(name, "{ data, shape }", value);
  const given = readTensor(value);
  if (!["Uint8Array", "Int32Array", "BigInt64Array"].includes(typeTag(given.data)))
    throw invalidOption(`${name}.data`, "a Uint8Array, Int32Array or BigInt64Array", given.data);
  const data = Uint8Array.from(viewOf(given.data as Int32Array), (key) => (key ? 1 : 0));
  return { data, shape: checkShape(given.shape, data.length, name) };
}

/** One offset for all batch rows, or one for each. */
function checkOffset(value: unknown, name: string): number | Int32Array {
  if (typeTag(value) === "Int32Array") return checkInt32Array(value, name);
  if (typeof value !== "number") throw invalidOption(name, "an integer or an Int32Array", value);
  return checkInteger(value, name, -(2 ** 31), maxExtent);
}

const side = withDefault(integer(0), -1);

export const visibilityTable = {
  mask: optional(checkMask),
  keyMask: optional(checkKeyMask),
  causal: withDefault(checkBoolean, false),
  window: group({ left: side, right: side }),
  offset: optional(checkOffset),
  keyLengths: optional(checkInt32Array),
} satisfies OptionTable<VisibilityOptions>;

/** Checked options in the form that the core takes. */
export interface Visibility {
  readonly inputs: {
    readonly mask: ReturnType<typeof checkMask> | undefined;
    readonly keyMask: ReturnType<typeof checkKeyMask> | undefined;
    readonly offsets: Int32Array | undefined;
    readonly keyLengths: Int32Array | undefined;
  };
  readonly maskExtents: Extents;
  readonly causal: boolean;
  readonly windowLeft: number; // -1: unbounded
  readonly windowRight: number;
}

/** The mask's extents at rank 4. */
function maskExtents(shape: readonly number[], extents: Extents): Extents {
  const padded = [...Array<number>(Math.max(4 - shape.length, 0)).fill(1), ...shape];
  const fits = (extent: number, axis: number) =>
    extent === 1 || extent === extents[axis] || (axis === 3 && extent > 1 && extent < extents[3]);
  if (padded.length > 4 || !padded.every(fits)) {
    const expected = `a shape that broadcasts to [B, H, L, S] = [${extents.join(", ")}], or with a shorter last axis`;
    throw invalidShape("mask", expected, shape);
  }
  return padded as unknown as Extents;
}

function refuseOtherKeyMask(shape: readonly number[], [batch, , , keys]: Extents): void {
  const [length, rows = 1] = [...shape].reverse();
  if (shape.length === 0 || shape.length > 2 || length !== keys || (rows !== 1 && rows !== batch))
    throw invalidShape("keyMask", `[B, S] = [${batch}, ${keys}], [1, ${keys}] or [${keys}]`, shape);
}

/** The offsets [B]. Empty if there are no heads or queries. */
function offsetsOf(offset: number | Int32Array, [batch, heads, queries]: Extents): Int32Array | undefined {
  if (offset === 0) return undefined;
  if (typeof offset === "number") return new Int32Array(heads * queries === 0 ? 0 : batch).fill(offset);
  refuseOtherLength(offset, "offset", batch);
  return offset;
}

/** Checks the options against the extents [B, H, L, S] of the scores. `past`: the number of past keys, the default of `offset`. */
export function fitVisibility(
  { mask, keyMask, causal, window, offset, keyLengths }: Checked<typeof visibilityTable>,
  extents: Extents,
  past = 0,
): Visibility {
  const [batch, , , keys] = extents;
  if (keyLengths) {
    refuseOtherLength(keyLengths, "keyLengths", batch);
    const wrong = keyLengths.find((length) => length < 0 || length > keys);
    if (wrong !== undefined) throw invalidOption("keyLengths", `lengths from 0 to S = ${keys}`, wrong);
  }
  if (keyMask) refuseOtherKeyMask(keyMask.shape, extents);
  return {
    inputs: { mask, keyMask, offsets: offsetsOf(offset ?? past, extents), keyLengths },
    maskExtents: mask ? maskExtents(mask.shape, extents) : [1, 1, 1, 1],
    causal,
    windowLeft: window.left,
    windowRight: window.right,
  };
}

/** The argument of the core, with the addresses of the arrays. Empty if all keys are visible. */
export function visibilityArgument(
  { inputs, maskExtents, ...plain }: Visibility,
  { mask, keyMask, offsets, keyLengths }: Pointers<keyof Visibility["inputs"]>,
): VisibilityArgument {
  const { causal, windowLeft, windowRight } = plain;
  if (!causal && windowLeft < 0 && windowRight < 0 && Object.values(inputs).every((array) => array === undefined))
    return [];
  const [maskBatch, maskHeads, maskQueries, maskKeys] = maskExtents;
  const maskType = inputs.mask?.type ?? 0;
  const [keyMaskKeys = 1, keyMaskBatch = 1] = [...(inputs.keyMask?.shape ?? [])].reverse();
  return [
    {
      ...{ ...plain, offsets, keyLengths, keyMask, keyMaskBatch, keyMaskKeys },
      ...{ maskType, mask, maskBatch, maskHeads, maskQueries, maskKeys },
    },
  ];
}
