// Means over seeds. Times are medians: see tests/bench/statistics.mjs.
export { median } from "../../tests/bench/statistics.mjs";

export const mean = (values) => values.reduce((all, value) => all + value, 0) / values.length;

/** Mean and standard deviation (of a sample: n − 1; 0 for one value). */
export function spread(values) {
  const middle = mean(values);
  const squares = values.reduce((all, value) => all + (value - middle) ** 2, 0);
  return { mean: middle, sd: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0, n: values.length };
}

/** Groups elements by key, in the order of first occurrence. @returns {Map} */
export function groups(values, key) {
  const found = new Map();
  for (const value of values) found.set(key(value), [...(found.get(key(value)) ?? []), value]);
  return found;
}

/** The runs that a summary counts: of each number of heads those with its learning rate. */
export const chosenRuns = ({ summary, runs }) =>
  runs.filter((run) =>
    summary.some(
      (own) =>
        own.heads === run.heads && own.learningRate === run.learningRate && (own.steps ?? run.steps) === run.steps,
    ),
  );
