// Random cases beside ONNX Runtime, which computes the same operators with other code. A failure prints its seed and
// path; this runs that case alone:
//   SEED=… CASE=… node --test tests/conformance/differential.test.mjs
// Where the two disagree on purpose, tests/conformance/disagreements.test.mjs says how.
import { after, before, describe, it } from "node:test";
import { expect } from "chai";
import fc from "fast-check";

import { load } from "../../dist/index.js";
import { random, splitHeads } from "../js/reference.mjs";
import { runOperator } from "./onnxruntime.mjs";

let hw;
before(async () => (hw = await load()));
after(() => hw.dispose());

const { SEED: seed = 1, CASE: path } = process.env;

/** Runs `check` on random cases, and finds the smallest that fails. */
const differ = (name, cases, shape, check) =>
  it(`${name}: ${cases} cases`, () =>
    fc.assert(fc.asyncProperty(fc.record(shape), check), {
      numRuns: cases,
      seed: Number(seed),
      path,
      includeErrorInReport: true,
    }));

/** What masks hide is -inf in ours, and the lowest float in some of theirs. */
function expectSame(ours, theirs, label) {
  expect(ours.shape, `${label}: shape`).to.deep.equal(theirs.shape);
  let [error, largest] = [0, 1];
  for (let n = 0; n < ours.data.length; ++n) {
    const [own, their] = [ours.data[n], theirs.data[n]];
    if (own === -Infinity && their < -3e38) continue;
    if (Number.isNaN(own) || Number.isNaN(their)) expect.fail(`${label}[${n}]: ${own}, theirs ${their}`);
    error = Math.max(error, Math.abs(own - their));
    largest = Math.max(largest, Math.abs(their));
  }
  if (!(error <= 1e-5 * largest)) expect.fail(`${label}: differs by ${error}, largest is ${largest}`);
}

const extent = fc.integer({ min: 1, max: 130 });
const few = (max) => fc.integer({ min: 1, max });
const chance = fc.boolean();
const number = (min, max) => fc.float({ min: Math.fround(min), max: Math.fround(max), noNaN: true });
const maybe = (arbitrary) => fc.option(arbitrary, { nil: undefined });
const data = fc.integer({ min: 0, max: 2 ** 20 }); // seed of the numbers

/** A mask that broadcasts to [B, H, L, S]: axes that are kept, from the right. */
const mask = maybe(
  fc.record({ axes: fc.integer({ min: 2, max: 4 }), kept: fc.tuple(chance, chance), boolean: chance }),
);

function makeMask({ axes, kept, boolean }, [B, H, L, S], seed) {
  const shape = [kept[0] ? B : 1, kept[1] ? H : 1, L, S].slice(4 - axes);
  const floats = random(shape, seed);
  if (boolean) return { data: Uint8Array.from(floats.data, (x) => Number(x > -0.5)), shape };
  return { data: floats.data.map((x) => (x < -0.7 ? -Infinity : 3 * x)), shape };
}

/** [B, heads, length, width], or the same with heads in rows. */
const shapeOf = (rank, B, heads, length, width) =>
  rank === 3 ? [B, length, heads * width] : [B, heads, length, width];

describe("random cases agree with ONNX Runtime", () => {
  differ(
    "ai.onnx.Attention",
    900,
    {
      ...{ B: few(2), G: few(3), group: few(3), L: extent, N: extent, P: maybe(extent), D: extent, Dv: extent },
      ...{ rank3: chance, causal: chance, mask, data, mode: fc.integer({ min: 0, max: 3 }), padded: chance },
      ...{ scale: maybe(number(0.01, 1)), softcap: maybe(number(0.5, 20)) },
    },
    async ({ B, G, group, L, N, P = 0, D, Dv, rank3, causal: tryCausal, mask, data, mode, padded, scale, softcap }) => {
      const [rank, H, S] = [rank3 ? 3 : 4, G * group, P + N];
      const causal = tryCausal && (L > 1 || P === 0); // theirs lets a single query beside a past see all
      const query = random(shapeOf(rank, B, H, L, D), data);
      const key = random(shapeOf(rank, B, G, N, D), data + 1);
      const value = random(shapeOf(rank, B, G, N, Dv), data + 2);
      const past = P > 0 ? { key: random([B, G, P, D], data + 3), value: random([B, G, P, Dv], data + 4) } : undefined;
      const bias = mask && makeMask(mask, [B, H, L, S], data + 5);
      const keyLengths =
        padded && !past ? Int32Array.from({ length: B }, (_, b) => (data + 7 * b) % (S + 1)) : undefined;
      const theirs = await runOperator("Attention", {
        opset: keyLengths ? 24 : 23,
        inputs: [
          query,
          key,
          value,
          bias,
          past?.key,
          past?.value,
          keyLengths && { data: BigInt64Array.from(keyLengths, BigInt), shape: [B] },
        ].slice(0, keyLengths ? 7 : 6),
        outputs: [true, Boolean(past), Boolean(past), true],
        ints: {
          is_causal: Number(causal),
          qk_matmul_output_mode: mode,
          ...(rank3 && { q_num_heads: H, kv_num_heads: G }),
        },
        floats: { ...(scale !== undefined && { scale }), ...(softcap !== undefined && { softcap }) },
      });
      const ours = hw.attention(query, key, value, {
        ...(rank3 && { numHeads: H, numKvHeads: G }),
        ...{ mask: bias, causal, past, keyLengths, scale, softcap },
        offset: keyLengths?.map((length) => length - L),
        return: { weights: ["scores", "capped", "masked", "probabilities"][mode], present: Boolean(past) },
      });
      expectSame(ours.output, theirs[0], "output");
      expectSame(ours.weights, theirs[3], "weights");
      if (past) expectSame(ours.present.key, theirs[1], "present key");
      if (past) expectSame(ours.present.value, theirs[2], "present value");
    },
  );

  differ(
    "com.microsoft.MultiHeadAttention",
    500,
    {
      ...{ B: few(2), H: few(6), L: extent, N: extent, P: maybe(extent), D: extent, Dv: extent, data },
      ...{
        causal: chance,
        padding: maybe(fc.constantFrom("lengths", "mask")),
        bias: maybe(fc.tuple(chance, chance)),
        scale: maybe(number(0.01, 1)),
      },
    },
    async ({ B, H, L, N: keys, P = 0, D, Dv: width, data, causal, padding, bias, scale }) => {
      const N = causal ? L : keys; // theirs never masks anything from the last query
      const S = P + N;
      const Dv = P > 0 ? D : width; // theirs wants them equal beside a past
      const query = random([B, L, H * D], data);
      const key = random([B, N, H * D], data + 1);
      const value = random([B, N, H * Dv], data + 2);
      const past = P > 0 ? { key: random([B, H, P, D], data + 3), value: random([B, H, P, Dv], data + 4) } : undefined;
      const added = bias && random([bias[0] ? B : 1, bias[1] ? H : 1, L, S], data + 5);
      const lengths = Int32Array.from({ length: B }, (_, b) => 1 + ((data + 7 * b) % S));
      const attends = {
        data: Int32Array.from({ length: B * S }, (_, n) => Number(n % S < lengths[Math.floor(n / S)])),
        shape: [B, S],
      };
      const theirs = await runOperator("MultiHeadAttention", {
        domain: "com.microsoft",
        inputs: [
          query,
          key,
          value,
          undefined,
          padding && (padding === "mask" ? attends : { data: lengths, shape: [B] }),
          added,
          past?.key,
          past?.value,
        ],
        outputs: [true, Boolean(past), Boolean(past)],
        ints: { num_heads: H, unidirectional: Number(causal) },
        floats: { mask_filter_value: -3e38, ...(scale !== undefined && { scale }) },
      });
      const ours = hw.attention(query, key, value, {
        ...{ numHeads: H, mask: added, causal, past, scale },
        keyLengths: padding && lengths,
        return: { present: true },
      });
      expectSame(ours.output, theirs[0], "output");
      if (past) expectSame(ours.present.key, theirs[1], "present key");
      if (past) expectSame(ours.present.value, theirs[2], "present value");
    },
  );

  differ(
    "com.microsoft.GroupQueryAttention",
    500,
    {
      ...{ B: few(2), G: few(3), group: few(3), L: extent, P: maybe(extent), eights: few(16), data },
      ...{
        rotary: chance,
        interleaved: chance,
        window: maybe(extent),
        scale: maybe(number(0.01, 1)),
        softcap: maybe(number(0.5, 20)),
      },
    },
    async ({ B, G, group, L: length, P = 0, eights, data, rotary: tryRotary, interleaved, window, scale, softcap }) => {
      const [H, D, pairs] = [G * group, 8 * eights, 4 * eights]; // theirs wants a multiple of 8
      const L = P > 0 && B > 1 ? 1 : length; // beside a past theirs takes more queries of one batch row alone
      const rotary = tryRotary && D % 16 === 0;
      const S = P + L;
      const query = random([B, L, H * D], data);
      const key = random([B, L, G * D], data + 1);
      const value = random([B, L, G * D], data + 2);
      const past = { key: random([B, G, P, D], data + 3), value: random([B, G, P, D], data + 4) };
      const [cos, sin] = [random([S, pairs], data + 5), random([S, pairs], data + 6)];
      const theirs = await runOperator("GroupQueryAttention", {
        domain: "com.microsoft",
        inputs: [
          query,
          key,
          value,
          past.key,
          past.value,
          { data: new Int32Array(B).fill(S - 1), shape: [B] },
          { data: Int32Array.of(S), shape: [1] },
          ...(rotary ? [cos, sin] : []),
        ],
        outputs: [true, true, true],
        ints: {
          num_heads: H,
          kv_num_heads: G,
          do_rotary: Number(rotary),
          rotary_interleaved: Number(interleaved),
          local_window_size: window ?? -1,
        },
        floats: { ...(scale !== undefined && { scale }), ...(softcap !== undefined && { softcap }) },
      });
      const positions = Int32Array.from({ length: B * L }, (_, n) => P + (n % L));
      const turned = (x, numHeads) =>
        rotary ? hw.rotaryEmbedding(x, { numHeads, positions, cos, sin, interleaved }) : x;
      const ours = hw.attention(turned(query, H), turned(key, G), value, {
        ...{ numHeads: H, numKvHeads: G, causal: true, past, scale, softcap },
        window: { left: window && window - 1 }, // theirs counts the query's own key
        return: { present: true },
      });
      expectSame(ours.output, theirs[0], "output");
      expectSame(ours.present.key, theirs[1], "present key");
      expectSame(ours.present.value, theirs[2], "present value");
    },
  );

  const turning = {
    ...{ B: few(3), H: few(6), L: extent, pairs: few(65), rest: maybe(few(60)), rank3: chance, interleaved: chance },
    ...{ more: extent, base: maybe(number(10, 1e6)), data },
  };
  /** Cosines and sines of positions 0 … rows - 1, from the base or at random; a position for each token. */
  function angles({ B, L, more, pairs, base, data }) {
    const rows = L + more; // theirs wants L at least
    const turns = Array.from(
      { length: rows * pairs },
      (_, n) => Math.floor(n / pairs) * base ** (-(n % pairs) / pairs),
    );
    const table = (fn, seed) =>
      base === undefined ? random([rows, pairs], seed) : { data: Float32Array.from(turns, fn), shape: [rows, pairs] };
    const positions = Int32Array.from(random([B * L], data).data, (x) => Math.floor(((x + 1) / 2) * rows));
    return { cos: table(Math.cos, data + 1), sin: table(Math.sin, data + 2), positions };
  }

  differ("ai.onnx.RotaryEmbedding", 300, { ...turning, positioned: chance }, async (each) => {
    const { B, H, L, pairs, rest = 0, rank3, interleaved, base, data, positioned } = each;
    const x = random(shapeOf(rank3 ? 3 : 4, B, H, L, 2 * pairs + rest), data);
    const { cos, sin, positions } = angles(each);
    const own = { cos: random([B, L, pairs], data + 1), sin: random([B, L, pairs], data + 2) };
    const tables = positioned ? { cos, sin } : own;
    const theirs = await runOperator("RotaryEmbedding", {
      inputs: [
        x,
        tables.cos,
        tables.sin,
        ...(positioned ? [{ data: BigInt64Array.from(positions, BigInt), shape: [B, L] }] : []),
      ],
      ints: { interleaved: Number(interleaved), rotary_embedding_dim: 2 * pairs, ...(rank3 && { num_heads: H }) },
    });
    const ours = hw.rotaryEmbedding(x, {
      ...{ numHeads: rank3 ? H : undefined, dim: 2 * pairs, interleaved },
      ...(positioned && base !== undefined
        ? { positions, base }
        : { ...tables, positions: positioned ? positions : undefined }),
    });
    expectSame(ours, theirs[0], "output");
  });

  differ("com.microsoft.RotaryEmbedding", 200, turning, async (each) => {
    const { B, H, L, pairs, rank3, interleaved, base, data } = each;
    const x = random(shapeOf(rank3 ? 3 : 4, B, H, L, 2 * pairs), data);
    const { cos, sin, positions } = angles(each);
    const theirs = await runOperator("RotaryEmbedding", {
      domain: "com.microsoft",
      inputs: [x, { data: BigInt64Array.from(positions, BigInt), shape: [B, L] }, cos, sin],
      ints: { interleaved: Number(interleaved) },
    });
    const ours = hw.rotaryEmbedding(x, {
      ...{ numHeads: rank3 ? H : undefined, positions, interleaved },
      ...(base === undefined ? { cos, sin } : { base }),
    });
    expectSame(ours, theirs[0], "output");
  });
});
