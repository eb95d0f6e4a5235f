// Training for all experiments: steps, regular evaluation on the validation set, and times.
import { median } from "../../tests/bench/statistics.mjs";

/**
 * @param options.model, options.optimizer of Headwise
 * @param options.batchAt() → { tokens, targets }, the next examples
 * @param options.every steps, and after the last: options.evaluate(model) becomes a point of the curve
 * @returns {{ curve: object[], times: { stepMilliseconds: number, seconds: number } }} the median of a step, and the steps' sum
 */
export function train({ model, optimizer, steps, every, batchAt, evaluate }) {
  const curve = [];
  const milliseconds = [];
  let sum = 0;
  let since = 0;
  for (let step = 1; step <= steps; ++step) {
    const { tokens, targets } = batchAt();
    const start = performance.now();
    sum += model.trainStep(tokens, targets, optimizer);
    milliseconds.push(performance.now() - start);
    ++since;
    if (step % every === 0 || step === steps) {
      curve.push({ step, trainLoss: sum / since, ...evaluate(model) });
      sum = since = 0;
    }
  }
  const seconds = milliseconds.reduce((all, one) => all + one, 0) / 1000;
  return { curve, times: { stepMilliseconds: median(milliseconds), seconds } };
}

/** Loss and accuracy over several batches, each target counted once. */
export function evaluateAll(model, batches) {
  const parts = batches.map(({ tokens, targets }) => model.evaluate(tokens, targets));
  const count = parts.reduce((all, part) => all + part.count, 0);
  const over = (key) => parts.reduce((all, part) => all + part[key] * part.count, 0) / count;
  return { loss: over("loss"), accuracy: over("accuracy") };
}
