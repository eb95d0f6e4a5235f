// Grouped heads, pasts, windows, softcap, offsets, the stages of the weights and empty sequences.
import * as reference from "../reference.mjs";
import { random } from "../reference.mjs";
import { expectClose } from "./support.mjs";

// [B, H, G, L, N, P, D, Dv]: more and fewer queries than keys; none, or not all, multiples of vectors and tiles.
const shapes = [
  [1, 1, 1, 1, 1, 0, 1, 1],
  [2, 6, 2, 9, 9, 0, 8, 5],
  [2, 4, 1, 1, 1, 33, 16, 16],
  [1, 6, 3, 17, 5, 12, 15, 33],
  [3, 2, 2, 3, 20, 7, 4, 3],
];

const stages = ["scores", "capped", "masked", "probabilities"];

function inputs([B, H, G, L, N, P, D, Dv]) {
  const past = { key: random([B, G, P, D], 4), value: random([B, G, P, Dv], 5) };
  return {
    tensors: [random([B, H, L, D], 1), random([B, G, N, D], 2), random([B, G, N, Dv], 3)],
    past: P > 0 ? past : undefined,
  };
}

/** Everything that a call may ask for, by itself and together. */
function variants([B, H, , L, N, P]) {
  const S = P + N;
  const offsets = Int32Array.from({ length: B }, (_, b) => 4 * b - 1);
  const keyLengths = Int32Array.from({ length: B }, (_, b) => Math.floor((S + b) / (b + 1)));
  const floats = { data: random([L, S], 6).data.map((x) => (x < -0.4 ? -Infinity : 2 * x)), shape: [L, S] };
  const short = Math.max(S - 2, 1);
  const bytes = { data: Uint8Array.from(random([H, L, short], 7).data, (x) => Number(x > -0.5)), shape: [H, L, short] };
  return [
    {},
    { causal: true },
    { causal: true, offset: offsets },
    { window: { left: 2, right: 1 } },
    { window: { right: 0 }, offset: 3 },
    { window: { left: 0, right: 0 }, offset: offsets },
    { softcap: 0.3, mask: floats },
    { mask: bytes },
    { mask: bytes, softcap: 2, scale: 1.5, keyLengths, causal: true, window: { left: 5 }, offset: offsets },
    { mask: floats, keyLengths, headGates: random([H], 8).data, window: { right: 3 } },
  ];
}

export const attentionOptionCases = [
  {
    name: "groups, pasts, windows, offsets and softcap agree with the reference, at every stage of the weights",
    async run({ hw, expect }) {
      for (const shape of shapes) {
        const { tensors, past } = inputs(shape);
        for (const [n, variant] of variants(shape).entries()) {
          const options = { ...variant, past, return: { weights: stages[n % 4], present: true } };
          for (const stage of n > 7 ? stages : [stages[n % 4]]) {
            options.return.weights = stage;
            const label = `${shape} variant ${n}, ${stage}`;
            const { output, weights, present } = await hw.attention(...tensors, options);
            const expected = (name) => (round) => reference.attention(...tensors, options, round)[name];
            expectClose(expect, output, expected("output"), `${label}: output`);
            expectClose(expect, weights, expected("weights"), `${label}: weights`);
            const both = (fresh, name) => (past ? reference.concatenate(past[name], fresh) : fresh);
            expect(present).to.deep.equal({ key: both(tensors[1], "key"), value: both(tensors[2], "value") });
          }
          const alone = await hw.attention(...tensors, { ...variant, past });
          expect(Object.keys(alone)).to.deep.equal(["output"]);
          expectClose(
            expect,
            alone.output,
            (round) => reference.attention(...tensors, { ...variant, past }, round).output,
          );
        }
      }
    },
  },
  {
    name: "rank 3 with numKvHeads and rank 2 are the same heads in other places, beside a past of rank 4",
    async run({ hw, expect }) {
      const { tensors, past } = inputs([2, 6, 3, 5, 4, 7, 8, 3]);
      const options = { causal: true, past, return: { weights: "masked", present: true } };
      const rank4 = await hw.attention(...tensors, options);
      const merged = tensors.map(reference.mergeHeads);
      const rank3 = await hw.attention(...merged, { ...options, numHeads: 6, numKvHeads: 3 });
      expect(rank3).to.deep.equal({ ...rank4, output: reference.mergeHeads(rank4.output) });
      const first = (t, rank) => ({
        data: t.data.slice(0, t.shape[2] * t.shape[3]),
        shape: [1, 1, ...t.shape.slice(2)].slice(4 - rank),
      });
      const one = { key: first(past.key, 4), value: first(past.value, 4) };
      const rank2 = await hw.attention(...tensors.map((t) => first(t, 2)), { ...options, past: one });
      expect(rank2.output).to.deep.equal(first(rank4.output, 2));
      expect(rank2.weights).to.deep.equal(first(rank4.weights, 2));
      expect(rank2.present.key).to.deep.equal(first(rank4.present.key, 4));
    },
  },
  {
    name: "token by token, each call's present the next one's past, is as all at once",
    async run({ hw, expect }) {
      const [B, H, G, L, D] = [2, 4, 2, 9, 8];
      const [query, key, value] = [random([B, H, L, D], 1), random([B, G, L, D], 2), random([B, G, L, D], 3)];
      const all = await hw.attention(query, key, value, { causal: true });
      const token = (t, i) => {
        const rows = Array.from({ length: B * t.shape[1] }, (_, head) => (head * L + i) * D);
        return {
          data: Float32Array.from(rows.flatMap((at) => [...t.data.subarray(at, at + D)])),
          shape: [B, t.shape[1], 1, D],
        };
      };
      let past = { key: random([B, G, 0, D], 1), value: random([B, G, 0, D], 1) };
      for (let i = 0; i < L; ++i) {
        const options = { causal: true, past, return: { present: true } };
        const { output, present } = await hw.attention(token(query, i), token(key, i), token(value, i), options);
        const expected = token(all.output, i);
        output.data.forEach((x, n) => expect(x).to.be.closeTo(expected.data[n], 1e-6));
        past = present;
      }
      expect(past).to.deep.equal({ key, value });
    },
  },
  {
    name: "empty sequences give zeros, or nothing, of the right shape",
    async run({ hw, expect }) {
      const zeros = (...shape) => ({ data: new Float32Array(reference.product(shape)), shape });
      const x = random([2, 4, 3, 5], 1);
      const [noKeys, noValues] = [zeros(2, 2, 0, 5), zeros(2, 2, 0, 6)];
      const asked = { return: { weights: "probabilities", present: true } };
      const options = { causal: true, mask: { data: new Uint8Array(0), shape: [3, 0] }, keyLengths: new Int32Array(2) };
      expect(await hw.attention(x, noKeys, noValues, { ...options, ...asked })).to.deep.equal({
        output: zeros(2, 4, 3, 6),
        weights: zeros(2, 4, 3, 0),
        present: { key: noKeys, value: noValues },
      });
      const past = { key: random([2, 2, 7, 5], 2), value: random([2, 2, 7, 6], 3) };
      const noQuery = await hw.attention(zeros(2, 4, 0, 5), noKeys, noValues, { past, ...asked });
      expect(noQuery).to.deep.equal({ output: zeros(2, 4, 0, 6), weights: zeros(2, 4, 0, 7), present: past });
      const pastAlone = await hw.attention(x, noKeys, noValues, { past });
      expect(pastAlone).to.deep.equal(await hw.attention(x, past.key, past.value));
      expect((await hw.attention(zeros(0, 5), zeros(0, 5), zeros(0, 6))).output).to.deep.equal(zeros(0, 6));
      const rank3 = await hw.attention(zeros(2, 3, 8), zeros(2, 0, 4), zeros(2, 0, 6), { numHeads: 4, numKvHeads: 2 });
      expect(rank3.output).to.deep.equal(zeros(2, 3, 12));
      const rotated = await hw.rotaryEmbedding(zeros(2, 0, 8), { numHeads: 2, positions: new Int32Array(0) });
      expect(rotated).to.deep.equal(zeros(2, 0, 8));
    },
  },
  {
    name: "NaN in masked keys and values of the past reaches nothing, windows hide it, too",
    async run({ hw, expect }) {
      const { tensors, past } = inputs([1, 4, 2, 6, 3, 9, 8, 5]);
      const poison = ({ data, shape: [B, G, P, width] }) => ({
        data: data.map((x, n) => (Math.floor(n / width) % P < 2 ? NaN : x)), // of the first two positions
        shape: [B, G, P, width],
      });
      const bad = { key: poison(past.key), value: poison(past.value) };
      const mask = { data: Uint8Array.from({ length: 12 }, (_, j) => Number(j > 1)), shape: [12] };
      for (const options of [
        { mask },
        { window: { left: 7 }, offset: 9 },
        { mask, softcap: 3, window: { left: 8, right: 2 } },
      ]) {
        const clean = await hw.attention(...tensors, { ...options, past });
        expect(await hw.attention(...tensors, { ...options, past: bad })).to.deep.equal(clean);
      }
    },
  },
];
