/** Which keys queries may attend to: the options that attention, the module and the analysis share. */
import { checkArray, checkBoolean, checkInteger, invalidOption, invalidShape, typeTag } from "./checks.js";
import type { Slot, Staging } from "./instance.js";
import type { VisibilityCall } from "./native.js";
import { checkShape, isTensorLike } from "./tensor.js";
import type { Mask } from "./types.js";

export interface VisibilityOptions {
  mask?: Mask;
  causal?: boolean;
  offset?: number | Int32Array;
  keyLengths?: Int32Array;
}

export const visibilityOptionNames = ["mask", "causal", "offset", "keyLengths"] as const;

type Extents = readonly [batch: number, heads: number, queries: number, keys: number];

/** Checked options whose arrays are declared to the staging. */
export interface Visibility {
  readonly maskType: number;
  readonly maskExtents: Extents;
  readonly mask: Slot | undefined;
  readonly causal: boolean;
  readonly offsets: Slot | undefined;
  readonly keyLengths: Slot | undefined;
}

/** Numbers of the core's MaskType. */
const maskTypes: Record<string, number> = { Float32Array: 1, Uint8Array: 2, Int32Array: 3, BigInt64Array: 4 };
const noMask = { maskType: 0, maskExtents: [1, 1, 1, 1] as Extents, mask: undefined };

function checkMask(mask: unknown, extents: Extents, staging: Staging) {
  if (!isTensorLike(mask)) throw invalidOption("mask", "{ data, shape }", mask);
  const maskType = maskTypes[typeTag(mask.data)];
  if (maskType === undefined) {
    throw invalidOption("mask.data", "a Float32Array, Uint8Array, Int32Array or BigInt64Array", mask.data);
  }
  const data = mask.data as Mask["data"];
  const shape = checkShape("shape" in mask ? mask.shape : mask.dims, data.length, "mask");
  const padded = [...Array<number>(Math.max(4 - shape.length, 0)).fill(1), ...shape];
  if (padded.length > 4 || padded.some((extent, axis) => extent !== 1 && extent !== extents[axis])) {
    throw invalidShape("mask", `a shape that broadcasts to [B, H, L, S] = [${extents.join(", ")}]`, shape);
  }
  return { maskType, maskExtents: padded as unknown as Extents, mask: staging.input(data) };
}

function checkKeyLengths(value: unknown, [batch, , , keys]: Extents, staging: Staging): Slot {
  const lengths = checkArray<Int32Array>(value, "keyLengths", "Int32Array", batch);
  for (const length of lengths) {
    if (length < 0 || length > keys) throw invalidOption("keyLengths", `lengths from 0 to S = ${keys}`, length);
  }
  return staging.input(lengths);
}

/** Where query 0 of each batch row stands, [B]. */
function checkOffset(offset: unknown, batch: number): Int32Array {
  if (typeTag(offset) === "Int32Array") return checkArray<Int32Array>(offset, "offset", "Int32Array", batch);
  return new Int32Array(batch).fill(checkInteger(offset, "offset", -(2 ** 31), 2 ** 31 - 1));
}

/** Checks the options against the extents [B, H, L, S] of the scores. */
export function checkVisibility(options: VisibilityOptions, extents: Extents, staging: Staging): Visibility {
  const { mask, causal, offset, keyLengths } = options;
  return {
    ...(mask === undefined ? noMask : checkMask(mask, extents, staging)),
    causal: causal === undefined ? false : checkBoolean(causal, "causal"),
    offsets: offset === undefined ? undefined : staging.input(checkOffset(offset, extents[0])),
    keyLengths: keyLengths === undefined ? undefined : checkKeyLengths(keyLengths, extents, staging),
  };
}

/** The same as the core takes it, once the staging has placed its arrays. */
export function visibilityCall(visibility: Visibility, staging: Staging): VisibilityCall {
  const [maskBatch, maskHeads, maskQueries, maskKeys] = visibility.maskExtents;
  return {
    maskType: visibility.maskType,
    mask: staging.pointer(visibility.mask),
    maskBatch,
    maskHeads,
    maskQueries,
    maskKeys,
    causal: visibility.causal,
    windowLeft: -1,
    windowRight: -1,
    offsets: staging.pointer(visibility.offsets),
    keyLengths: staging.pointer(visibility.keyLengths),
  };
}
