/** Which keys queries may attend to: the options that attention, the module and the analysis share. */
import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkOptions,
  invalidOption,
  invalidShape,
  maxExtent,
  typeTag,
} from "../base/checks.js";
import type { Slot, Staging } from "../runtime/instance.js";
import type { VisibilityArgument } from "../runtime/native.js";
import { checkShape, isTensorLike, product, readTensor } from "../base/tensor.js";
import type { Mask, VisibilityOptions } from "./types.js";

export const visibilityOptionNames = ["mask", "causal", "window", "offset", "keyLengths"] as const;

type Extents = readonly [batch: number, heads: number, queries: number, keys: number];

/** Checked options whose arrays are declared to the staging. */
export interface Visibility {
  readonly maskType: number;
  readonly maskExtents: Extents;
  readonly mask: Slot | undefined;
  readonly causal: boolean;
  readonly windowLeft: number; // -1: unbounded
  readonly windowRight: number;
  readonly offsets: Slot | undefined;
  readonly keyLengths: Slot | undefined;
}

/** Numbers of the core's MaskType. */
const maskTypes: Record<string, number> = { Float32Array: 1, Uint8Array: 2, Int32Array: 3, BigInt64Array: 4 };
const noMask = { maskType: 0, maskExtents: [1, 1, 1, 1] as Extents, mask: undefined };

function checkMask(mask: unknown, extents: Extents, staging: Staging) {
  if (!isTensorLike(mask)) throw invalidOption("mask", "{ data, shape }", mask);
  const given = readTensor(mask);
  const maskType = maskTypes[typeTag(given.data)];
  if (maskType === undefined) {
    throw invalidOption("mask.data", "a Float32Array, Uint8Array, Int32Array or BigInt64Array", given.data);
  }
  const data = given.data as Mask["data"];
  const shape = checkShape(given.shape, data.length, "mask");
  const padded = [...Array<number>(Math.max(4 - shape.length, 0)).fill(1), ...shape];
  const fits = (extent: number, axis: number) =>
    extent === 1 || extent === extents[axis] || (axis === 3 && extent > 1 && extent < extents[3]);
  if (padded.length > 4 || !padded.every(fits)) {
    const expected = `a shape that broadcasts to [B, H, L, S] = [${extents.join(", ")}], or with a shorter last axis`;
    throw invalidShape("mask", expected, shape);
  }
  return { maskType, maskExtents: padded as unknown as Extents, mask: staging.input(data, product(shape)) };
}

function checkKeyLengths(value: unknown, [batch, , , keys]: Extents, staging: Staging): Slot {
  const lengths = checkArray<Int32Array>(value, "keyLengths", "Int32Array", batch);
  for (const length of lengths) {
    if (length < 0 || length > keys) throw invalidOption("keyLengths", `lengths from 0 to S = ${keys}`, length);
  }
  return staging.input(lengths);
}

/** [B]: one number for all batch rows, or one each; of no use, and no size, where no row computes. */
function checkOffset(offset: unknown, [batch, heads, queries]: Extents): Int32Array {
  if (typeTag(offset) === "Int32Array") return checkArray<Int32Array>(offset, "offset", "Int32Array", batch);
  if (typeof offset !== "number") throw invalidOption("offset", "an integer or an Int32Array", offset);
  return new Int32Array(heads * queries === 0 ? 0 : batch).fill(checkInteger(offset, "offset", -(2 ** 31), maxExtent));
}

/** Checks the options against the extents [B, H, L, S] of the scores. `past`: of the S keys; the offset's default. */
export function checkVisibility(options: VisibilityOptions, extents: Extents, staging: Staging, past = 0): Visibility {
  const { mask, causal, offset = past, keyLengths } = options;
  const window = checkOptions(options.window, "window", ["left", "right"]);
  const side = (name: "left" | "right") =>
    window[name] === undefined ? -1 : checkInteger(window[name], `window.${name}`, 0, maxExtent);
  return {
    ...(mask === undefined ? noMask : checkMask(mask, extents, staging)),
    causal: causal === undefined ? false : checkBoolean(causal, "causal"),
    windowLeft: side("left"),
    windowRight: side("right"),
    offsets: offset === 0 ? undefined : staging.input(checkOffset(offset, extents)),
    keyLengths: keyLengths === undefined ? undefined : checkKeyLengths(keyLengths, extents, staging),
  };
}

/** The same as the core takes it, once the staging has placed its arrays; nothing where all keys are visible. */
export function visibilityArgument(visibility: Visibility, staging: Staging): VisibilityArgument {
  const { maskExtents, mask, offsets, keyLengths, ...plain } = visibility;
  const { causal, windowLeft, windowRight } = plain;
  if (!causal && windowLeft < 0 && windowRight < 0 && !(mask ?? offsets ?? keyLengths)) return [];
  const [maskBatch, maskHeads, maskQueries, maskKeys] = maskExtents;
  const call = {
    ...plain,
    mask: staging.pointer(mask),
    maskBatch,
    maskHeads,
    maskQueries,
    maskKeys,
    offsets: staging.pointer(offsets),
    keyLengths: staging.pointer(keyLengths),
  };
  return [call];
}
