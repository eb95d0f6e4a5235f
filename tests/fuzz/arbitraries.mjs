// Calls of the public API at random: valid ones, whose data may hold every kind of float.
import fc from "fast-check";

import { mergeHeads, product, randomFloats } from "../js/reference.mjs";

export const upTo = (max, min = 0) => fc.integer({ min, max });
export const maybe = (arbitrary) => fc.option(arbitrary, { nil: undefined });
const float = (min, max) => fc.float({ min: Math.fround(min), max: Math.fround(max), noNaN: true });

/** Numbers that reference and library must agree on; others are for whoever sees them alone. */
export const isOrdinary = (x) => Math.abs(x) <= 1e3;
const odd = [NaN, Infinity, -Infinity, 3e38, -3.4028234663852886e38, 1e19, -1e10, 0, -0, 1e-42, -1e-45, 1.1754944e-38];

/** Random numbers by a seed, and odd ones among them: [place in 0 … 1, value]. */
const places = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
export const numbers = fc.record({
  seed: upTo(2 ** 20),
  odd: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(places, fc.constantFrom(...odd)), { maxLength: 6 }) },
  ),
});

export function fill(shape, { seed, odd = [] }, more = 0) {
  const data = randomFloats(product(shape), seed + more);
  for (const [place, value] of odd) {
    if (data.length > 0) data[Math.floor((((place + 0.37 * more) % 1) + 1) * data.length) % data.length] = value;
  }
  return { data, shape };
}

const mask = fc.record({
  type: fc.constantFrom(Float32Array, Uint8Array, Int32Array, BigInt64Array),
  kept: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), // axes B, H, L that are not 1
  keys: fc.constantFrom("all", "all", "one", "some"),
  rank: upTo(4),
  numbers,
});

function makeMask({ type, kept, keys, rank, numbers }, [B, H, L, S]) {
  const last = { all: S, one: 1, some: Math.max(Math.min(2, S), S - 3) }[keys];
  const axes = [kept[0] ? B : 1, kept[1] ? H : 1, kept[2] ? L : 1, last];
  const shape = axes.slice(4 - rank);
  const floats = fill(shape, numbers).data;
  if (type === Float32Array) return { data: floats.map((x) => (x < -0.5 ? -Infinity : 3 * x)), shape };
  return { data: type.from(floats, (x) => (type === BigInt64Array ? BigInt : Number)(x < -0.5 ? 0 : 1)), shape };
}

/** Options that say which keys are seen. */
export const visibility = {
  mask: maybe(mask),
  causal: maybe(fc.boolean()),
  window: maybe(fc.record({ left: maybe(upTo(30)), right: maybe(upTo(2 ** 31 - 1)) })),
  offset: maybe(fc.oneof(upTo(30, -30), fc.constantFrom("rows", 2 ** 31 - 1, -(2 ** 31)))),
  keyLengths: maybe(upTo(1000)),
  keyMask: maybe(
    fc.record({ type: fc.constantFrom(Uint8Array, Int32Array, BigInt64Array), rows: upTo(2), seed: upTo(99) }),
  ),
};

/** [S], [1, S] or [B, S]; about every third key is padding. */
function makeKeyMask({ type, rows, seed }, [B, , , S]) {
  const shape = [[S], [1, S], [B, S]][rows];
  const kept = Array.from(fill(shape, { seed }).data, (x) => (x < -0.3 ? 0 : 3));
  return { data: type.from(kept, type === BigInt64Array ? BigInt : Number), shape };
}

export function makeVisibility({ mask, causal, window, offset, keyLengths, keyMask }, extents) {
  const [B, , , S] = extents;
  return {
    mask: mask && makeMask(mask, extents),
    keyMask: keyMask && makeKeyMask(keyMask, extents),
    causal,
    window,
    offset: offset === "rows" ? Int32Array.from({ length: B }, (_, b) => 7 * b - 5) : offset,
    keyLengths:
      keyLengths === undefined ? undefined : Int32Array.from({ length: B }, (_, b) => (keyLengths + 5 * b) % (S + 1)),
  };
}

export const stages = ["scores", "capped", "masked", "probabilities"];
const length = fc.oneof({ weight: 6, arbitrary: upTo(20) }, { weight: 1, arbitrary: upTo(70) });

export const attentionCase = fc.record({
  rank: fc.constantFrom(2, 3, 4),
  ...{ B: upTo(3, 1), G: upTo(3, 1), group: upTo(3, 1), L: length, N: length, P: maybe(upTo(9)) },
  ...{ D: upTo(20, 1), Dv: upTo(20, 1), numbers, ...visibility },
  scale: maybe(fc.oneof(float(0, 2), fc.constantFrom(0, 1e-40, 3e38))),
  softcap: maybe(fc.oneof(float(0.1, 50), fc.constantFrom(0, 1e-40, 3e38))),
  gates: maybe(fc.array(fc.constantFrom(0, 1, -2, 0.3), { minLength: 9, maxLength: 9 })),
  ...{ stage: maybe(fc.constantFrom(...stages)), present: maybe(fc.boolean()) },
});

/** [B, heads, length, width] as the rank has it. */
export function atRank(rank, t) {
  if (rank === 3) return mergeHeads(t);
  return rank === 2 ? { data: t.data, shape: t.shape.slice(2) } : t;
}

/** The arguments of `hw.attention`, and the same heads as rank 4, for the reference. */
export function makeAttention(each) {
  const { rank, L, N, P, D, Dv, numbers, gates, stage, present, scale, softcap } = each;
  const [B, G, group] = rank === 2 ? [1, 1, 1] : [each.B, each.G, each.group];
  const H = G * group;
  const heads = [fill([B, H, L, D], numbers), fill([B, G, N, D], numbers, 1), fill([B, G, N, Dv], numbers, 2)];
  const past =
    P === undefined ? undefined : { key: fill([B, G, P, D], numbers, 3), value: fill([B, G, P, Dv], numbers, 4) };
  const extents = [B, H, L, (P ?? 0) + N];
  const options = {
    ...makeVisibility(each, extents),
    past,
    scale,
    softcap,
    headGates: gates && Float32Array.from(gates.slice(0, H)),
    return: { weights: stage, present },
    ...(rank === 3 && { numHeads: H, numKvHeads: G }),
  };
  return { extents, G, heads, args: [...heads.map((t) => atRank(rank, t)), options] };
}

export const rotaryCase = fc.record({
  ...{ rank3: fc.boolean(), B: upTo(3, 1), H: upTo(5, 1), L: length, pairs: upTo(9, 1), rest: upTo(5) },
  ...{ interleaved: maybe(fc.boolean()), positioned: fc.boolean(), numbers },
  base: maybe(float(1.5, 1e6)),
  rows: maybe(upTo(40, 1)), // of tables
});

/** The arguments of `hw.rotaryEmbedding`, x as rank 4, and the angles' cosines and sines. */
export function makeRotary({ rank3, B, H, L, pairs, rest, interleaved, positioned, numbers, base, rows }) {
  const x = fill([B, H, L, 2 * pairs + rest], numbers);
  const limit = rows ?? 1e5;
  const positions = positioned
    ? Int32Array.from({ length: B * L }, (_, n) => (numbers.seed + 31 * n) % limit)
    : undefined;
  const shape = positioned ? [rows, pairs] : [B, L, pairs];
  const tables =
    rows === undefined
      ? undefined
      : { cos: fill(shape, { seed: numbers.seed + 1 }), sin: fill(shape, { seed: numbers.seed + 2 }) };
  const place = (b, i) => (positions ? positions[b * L + i] : i);
  const entry = (name) => (b, i, k) => {
    if (tables === undefined) return Math[name](place(b, i) * (base ?? 10000) ** (-k / pairs));
    return tables[name].data[(positions ? place(b, i) : b * L + i) * pairs + k];
  };
  const options = {
    ...{ numHeads: rank3 ? H : undefined, dim: 2 * pairs, interleaved, positions },
    ...(tables ?? { base }),
  };
  return { x, args: [rank3 ? mergeHeads(x) : x, options], cos: entry("cos"), sin: entry("sin") };
}

const width = upTo(9, 1);
const groups = fc.oneof(fc.constant(undefined), upTo(6, 1), fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }));

export const moduleCase = fc.record({
  ...{ H: upTo(6, 1), groups, times: upTo(6, 1), headDim: maybe(upTo(10, 1)), valueHeadDim: maybe(width) },
  ...{
    keyDim: maybe(width),
    valueDim: maybe(width),
    outputDim: maybe(width),
    bias: fc.constantFrom(true, false, "qkv"),
  },
  ...{
    scale: maybe(float(0.05, 1)),
    softcap: maybe(float(0.5, 20)),
    alibi: maybe(fc.boolean()),
    seed: maybe(upTo(99)),
  },
  rope: maybe(fc.record({ base: maybe(float(1.5, 1e6)), pairs: maybe(upTo(5, 1)), interleaved: maybe(fc.boolean()) })),
  gates: maybe(fc.array(fc.constantFrom(0, 1, 1, -2, 0.3), { minLength: 6, maxLength: 6 })),
});

/** A configuration: even or uneven groups, rope where heads are wide enough. */
export function makeConfig({ H, groups, times, gates: _, rope, ...rest }) {
  const headDim = rest.headDim ?? times;
  const even = typeof groups === "number" ? groups : undefined;
  let g = 0;
  const headGroups = Array.isArray(groups) ? groups.slice(0, H).map((next, h) => (next && h > 0 ? ++g : g)) : undefined;
  const widest = headDim - (headDim % 2);
  const ropeDim =
    rope?.pairs === undefined && headDim === widest ? undefined : Math.min(2 * (rope?.pairs ?? 5), widest);
  return {
    ...rest,
    embedDim: H * times,
    numHeads: H,
    numKvHeads: even !== undefined && H % even === 0 ? even : undefined,
    headGroups,
    rope: rope && headDim >= 2 ? { base: rope.base, interleaved: rope.interleaved, dim: ropeDim } : undefined,
  };
}
