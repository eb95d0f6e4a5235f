// How sure a difference between two sets of runs is.

/** All ways to take `count` of the elements. */
function choices(values, count) {
  if (count === 0) return [[]];
  if (values.length < count) return [];
  const [first, ...rest] = values;
  return [...choices(rest, count - 1).map((others) => [first, ...others]), ...choices(rest, count)];
}

const sum = (values) => values.reduce((all, value) => all + value, 0);

/**
 * Exact two-sided permutation test of the difference of two means: the share of all ways to deal the values out in which the
 * difference is at least as large. It assumes no distribution. `least`: the smallest p that so few runs can give.
 * @returns {{ p: number, least: number }}
 */
export function permutationTest(a, b) {
  const all = [...a, ...b];
  const total = sum(all);
  const difference = (chosen) => Math.abs(sum(chosen) / a.length - (total - sum(chosen)) / b.length);
  const found = difference(a);
  const differences = choices(all, a.length).map(difference);
  const tolerance = 1e-12 * Math.max(1, found); // equal up to rounding
  const p = differences.filter((one) => one >= found - tolerance).length / differences.length;
  return { p, least: (a.length === b.length ? 2 : 1) / differences.length };
}

/** Two-sided p of Student's t: the integral of cos^(ν − 1) from arctan(|t| / √ν) to π / 2, over that from 0. */
function studentP(t, freedom) {
  const STEPS = 2000;
  const integral = (from) => {
    const width = (Math.PI / 2 - from) / STEPS;
    return width * sum(Array.from({ length: STEPS }, (_, n) => Math.cos(from + (n + 0.5) * width) ** (freedom - 1)));
  };
  return integral(Math.atan(Math.abs(t) / Math.sqrt(freedom))) / integral(0);
}

/**
 * Welch's 95 % interval of the difference of two means, a − b, of which each has its own variance; undefined where neither varies.
 * @param a, b of `spread`: { mean, sd, n }
 * @returns {{ difference: number, low: number, high: number } | undefined}
 */
export function welch(a, b) {
  const [ofA, ofB] = [a, b].map(({ sd, n }) => sd ** 2 / n);
  if (ofA + ofB === 0) return undefined;
  const freedom = (ofA + ofB) ** 2 / (ofA ** 2 / (a.n - 1) + ofB ** 2 / (b.n - 1));
  let [low, high] = [0, 1e4]; // bisection for the t whose p is 0.05
  for (let i = 0; i < 60; ++i) {
    const middle = (low + high) / 2;
    if (studentP(middle, freedom) > 0.05) low = middle;
    else high = middle;
  }
  const margin = high * Math.sqrt(ofA + ofB);
  const difference = a.mean - b.mean;
  return { difference, low: difference - margin, high: difference + margin };
}
