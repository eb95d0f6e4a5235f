import { compare, random, randomFloats } from "../reference.mjs";

/** A module whose biases are not zeros, with its parameters. */
export async function makeModule(hw, config) {
  const mha = await hw.multiHeadAttention(config);
  const parameters = await mha.parameters();
  for (const [name, { shape }] of Object.entries(parameters)) {
    if (name.endsWith(".bias")) parameters[name] = random(shape, name.length);
  }
  await mha.setParameters(parameters);
  return { mha, parameters };
}

/** Expects the shape of a tensor, and its values by the rule of all comparisons; `reference(round)` computes them. */
export function expectClose(expect, ours, reference, label = "output") {
  const exact = reference((x) => x);
  const naive = reference(Math.fround);
  expect([...ours.shape], `${label}: shape`).to.deep.equal(exact.shape);
  expect(ours.data.length, `${label}: count`).to.equal(exact.data.length);
  const { error, allowed, close } = compare(ours, exact, naive);
  expect(close, `${label}: error ${error}, allowed ${allowed}`).to.equal(true);
}

/** Expects a call to fail with a code and a message that contains all of `parts`. */
export async function expectError(expect, code, parts, call) {
  let error;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  expect(error, `expected ${code}`).to.be.an("error");
  expect(`${error.name} ${error.code}`, error.message).to.equal(`HeadwiseError ${code}`);
  for (const part of [parts].flat()) expect(error.message).to.contain(part);
}

/**
 * Expects a gradient to be the slope of `loss()`, which computes in double precision from the numbers in `at`, along a direction that
 * moves each of them by 1 to 2 steps: two losses for a whole tensor. The error, that of all its numbers together, is at most 1e-4 of
 * the largest one (or of `largest`), and 1e-6.
 */
export function expectSlope(expect, ours, at, loss, label, largest = 0) {
  expect(ours.data.length, `${label}: count`).to.equal(at.length);
  expect(ours.data.every(Number.isFinite), `${label}: finite numbers`).to.equal(true);
  const direction = randomFloats(at.length, 1 + at.length).map((x) => x + Math.sign(x));
  const lossAfter = (step) => {
    const before = at.slice();
    direction.forEach((x, n) => (at[n] += step * x));
    const moved = loss();
    at.set(before);
    return moved;
  };
  const step = 1e-5;
  const exact = (lossAfter(step) - lossAfter(-step)) / (2 * step);
  const sum = ours.data.reduce((sum, x, n) => sum + x * direction[n], 0);
  for (const x of ours.data) largest = Math.max(largest, Math.abs(x));
  expect(Math.abs(sum - exact), `${label}: error beside a largest gradient of ${largest}`).to.be.at.most(
    1e-4 * largest + 1e-6,
  );
}

export const gatesOf = (mha, entry) => (entry === "headwise" ? mha.headGates : mha.getHeadGates());
