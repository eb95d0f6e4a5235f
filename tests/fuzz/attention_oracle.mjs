// What attention must give whatever the numbers are: rows that see ordinary numbers alone are as in the reference, rows
// that see nothing are zeros.
import { attention, biasOf, compare, concatenate, product, sees, splitHeads } from "../js/reference.mjs";
import { isOrdinary } from "./arbitraries.mjs";

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

export function expectShape(t, shape, what) {
  expect(t.data instanceof Float32Array && String(t.shape) === String(shape), `${what}: [${t.shape}], not [${shape}]`);
  expect(t.data.length === product(shape), `${what}: ${t.data.length} numbers for [${shape}]`);
}

export function expectSame(a, b, what) {
  expect(String(a.shape) === String(b.shape), `${what}: [${a.shape}], not [${b.shape}]`);
  const wrong = a.data.findIndex((x, n) => !Object.is(x, b.data[n]));
  expect(wrong < 0 && a.data.length === b.data.length, `${what}[${wrong}]: ${a.data[wrong]}, not ${b.data[wrong]}`);
}

/** What the reference computes in double precision, and naively in single. */
export const references = (compute) => ({ exact: compute((x) => x), naive: compute(Math.fround) });

/** By the rule of all comparisons, where `counts(n)`; of the tensors `name` that the references have. */
export function expectClose(ours, { exact, naive }, name, counts = () => true) {
  const kept = ({ data }) => ({ data: data.filter((_, n) => counts(n)) });
  const { error, allowed, close } = compare(kept(ours), kept(exact[name]), kept(naive[name]));
  expect(close, `${name}: error ${error}, allowed ${allowed}`);
}

const ordinary = (t) => ({ data: t.data.map((x) => (isOrdinary(x) ? x : 0)), shape: t.shape });

/** A mask of floats without odd numbers but for -Infinity. */
function ordinaryMask(mask) {
  if (!(mask?.data instanceof Float32Array)) return mask;
  return { data: mask.data.map((x) => (isOrdinary(x) || x === -Infinity ? x : 0)), shape: mask.shape };
}

/** (b, h, i, width) => whether all numbers of that row of heads are ordinary. */
const rowsOf = (t) => (b, h, i) => {
  const [, heads, length, width] = t.shape;
  const start = ((b * heads + h) * length + i) * width;
  return t.data.subarray(start, start + width).every(isOrdinary);
};

/** What the rows of [B, H, L, S] see: nothing, or ordinary numbers alone; and which entries of the weights these spoil. */
function survey({ extents: [B, H, L, S], G }, query, key, value, options) {
  const bias = biasOf(options.mask);
  const [soundQuery, soundKey, soundValue] = [query, key, value].map(rowsOf);
  const soundScale = [options.scale ?? 0, options.softcap || 1].every((x) => x === 0 || (x > 1e-3 && isOrdinary(x)));
  const rows = [];
  for (let b = 0; b < B; ++b)
    for (let h = 0; h < H; ++h)
      for (let i = 0; i < L; ++i) {
        const g = Math.floor((h * G) / H);
        const row = { silent: true, weights: true, output: true, keys: [] };
        const sound = soundScale && soundQuery(b, h, i);
        for (let j = 0; j < S; ++j) {
          const added = bias(b, h, i, j);
          row.keys[j] = sound && soundKey(b, g, j);
          if (added === -Infinity || !sees(options, b, i, j)) continue;
          row.silent = false;
          row.weights &&= row.keys[j] && isOrdinary(added);
          row.output &&= row.weights && soundValue(b, g, j);
        }
        row.silent ||= options.headGates?.[h] === 0;
        rows.push(row);
      }
  return rows;
}

/** Checks a result of attention; `made` comes from makeAttention. */
export function checkAttention(made, result) {
  const { extents, G, heads, args } = made;
  const [query] = heads;
  const options = args[3];
  const { past, mask, return: asked } = options;
  const [B, H, L, S] = extents;
  const rank = args[0].shape.length;
  const Dv = heads[2].shape[3];
  const key = past ? concatenate(past.key, heads[1]) : heads[1];
  const value = past ? concatenate(past.value, heads[2]) : heads[2];
  expectShape(result.output, { 2: [L, Dv], 3: [B, L, H * Dv], 4: [B, H, L, Dv] }[rank], "output");
  expect(Boolean(result.weights) === Boolean(asked.weights), "weights: only where asked for");
  if (result.weights) expectShape(result.weights, rank === 2 ? [L, S] : extents, "weights");
  expect(Boolean(result.present) === Boolean(asked.present), "present: only where asked for");
  if (result.present) expectSame(result.present.key, key, "present.key");
  if (result.present) expectSame(result.present.value, value, "present.value");

  const offset = options.offset ?? past?.key.shape[2] ?? 0;
  const rows = survey(made, query, key, value, { ...options, offset });
  const output = rank === 3 ? splitHeads(result.output, H) : result.output;
  for (const [n, { silent }] of rows.entries()) {
    const row = output.data.subarray(n * Dv, (n + 1) * Dv);
    expect(!silent || row.every((x) => x === 0), `output: row ${n} sees nothing or has a gate of 0, and is ${row}`);
  }
  const clean = { ...options, offset, past: undefined, mask: ordinaryMask(mask) };
  const inputs = [query, key, value].map(ordinary);
  const expected = references((round) => attention(...inputs, clean, round));
  const soundOutput = (n) => rows[Math.floor(n / Dv)].output && !rows[Math.floor(n / Dv)].silent;
  expectClose(output, expected, "output", soundOutput);
  if (!result.weights) return;
  const soundWeight = (n) => {
    const row = rows[Math.floor(n / S)];
    return ["scores", "capped"].includes(asked.weights) ? row.keys[n % S] : row.weights;
  };
  expectClose(result.weights, expected, "weights", soundWeight);
}
