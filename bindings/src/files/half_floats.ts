/** float16 and bfloat16, the 16-bit types in which weights are often stored. */
import { allocate } from "../base/tensor.js";

interface HalfFloat {
  /** Bits after the binary point. */
  readonly fraction: number;
  /** Exponent of the smallest normal number, biased as in float32. */
  readonly least: number;
}

export const halfFloats: Record<"F16" | "BF16", HalfFloat> = {
  F16: { fraction: 10, least: 127 - 14 },
  BF16: { fraction: 7, least: 127 - 126 },
};

const kInfinity = 0x7f800000; // float32's bits

/** The bits of infinity. Larger values are NaN. */
const infinityOf = ({ fraction }: HalfFloat) => 0x8000 - (1 << fraction);

/** Converts 16-bit floats to float32 exactly. */
export function widen(halves: Uint16Array, type: HalfFloat): Float32Array {
  const { fraction, least } = type;
  const infinity = infinityOf(type);
  const smallest = 2 ** (least - 127 - fraction);
  const floats = new Float32Array(allocate(4 * halves.length));
  const words = new Uint32Array(floats.buffer);
  for (let n = 0; n < halves.length; ++n) {
    const half = halves[n]! & 0x7fff;
    if (half >= infinity) words[n] = kInfinity + ((half - infinity) << (23 - fraction));
    else if (half >> fraction > 0) words[n] = (half << (23 - fraction)) + ((least - 1) << 23);
    else floats[n] = half * smallest; // subnormal
    words[n]! |= (halves[n]! & 0x8000) << 16;
  }
  return floats;
}

/** Converts float32 to 16-bit floats, rounded to nearest, ties to even. NaN keeps the upper bits of its payload. */
export function narrow(floats: Float32Array, halves: Uint16Array, type: HalfFloat): void {
  const { fraction, least } = type;
  const infinity = infinityOf(type);
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  for (let n = 0; n < words.length; ++n) {
    const word = words[n]! & 0x7fffffff;
    const exponent = Math.max(word >> 23, 1);
    // The number of dropped bits. With 25 or more the result is 0.
    const drop = Math.min(23 - fraction + Math.max(least - exponent, 0), 25);
    const significand = (word & 0x7fffff) | (word >> 23 > 0 ? 0x800000 : 0);
    const rounded = (significand + (1 << (drop - 1)) - 1 + ((significand >> drop) & 1)) >> drop;
    const half = ((Math.max(exponent, least) - least) << fraction) + rounded;
    const payload = (word >> (23 - fraction)) & ((1 << fraction) - 1) || 1 << (fraction - 1);
    halves[n] = ((words[n]! >>> 16) & 0x8000) | (word > kInfinity ? infinity | payload : Math.min(half, infinity));
  }
}
