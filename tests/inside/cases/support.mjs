// What the cases of the analyses share: TransformerLens's numbers, and the rule that ours are held to.
import { openLens } from "../../models/goldens.mjs";

export const integers = (rows) => ({ data: Int32Array.from(rows.flat()), shape: [rows.length, rows[0].length] });

/** An opened model beside TransformerLens's numbers for it, and its tokens by name. */
export async function opened(hw, name) {
  const golden = await openLens(name);
  const model = await hw.openModel(golden.folder);
  const tokens = Object.fromEntries(Object.entries(golden.tokens).map(([key, rows]) => [key, integers(rows)]));
  return { golden, model, tokens, metric: { answer: golden.answer, against: golden.distractor } };
}

/** The largest difference, as a share of the largest value. */
export function share(ours, theirs) {
  if (ours.length !== theirs.length) return Infinity;
  let [most, largest] = [0, 0];
  for (let n = 0; n < theirs.length; ++n) {
    const apart = Math.abs(ours[n] - theirs[n]);
    most = Number.isNaN(apart) ? Infinity : Math.max(most, apart);
    largest = Math.max(largest, Math.abs(theirs[n]));
  }
  return most === 0 && theirs.length > 0 ? 0 : most / largest;
}

/** Each array's largest difference, for reports. */
export const measured = new Map();

/** Within 1e-4 of the largest value. */
export function expectNear(expect, ours, theirs, what, tolerance = 1e-4) {
  const apart = share(ours, theirs);
  measured.set(what, Math.max(apart, measured.get(what) ?? 0));
  expect(apart, what).to.be.at.most(tolerance);
}

/** The elements of a tensor in another order of its axes. */
export function transposed({ data, shape }, axes) {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));
  let values = [0];
  for (const axis of axes)
    values = values.flatMap((at) => Array.from({ length: shape[axis] }, (_, n) => at + n * strides[axis]));
  return Float32Array.from(values, (at) => data[at]);
}

export { expectError } from "../../models/cases/support.mjs";
