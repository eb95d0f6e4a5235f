// Training for all experiments: steps, regular evaluation on the validation set, and the time of a step.
import { ratio } from "../../tests/bench/statistics.mjs";

/**
 * @param options.model, options.optimizer of Headwise
 * @param options.batchAt() → { tokens, targets }, the next examples
 * @param options.every steps, and after the last: options.evaluate(model) becomes a point of the curve
 * @returns {object[]} the curve
 */
export function train({ model, optimizer, steps, every, batchAt, evaluate }) {
  const curve = [];
  let sum = 0;
  let since = 0;
  for (let step = 1; step <= steps; ++step) {
    const { tokens, targets } = batchAt();
    sum += model.trainStep(tokens, targets, optimizer);
    ++since;
    if (step % every === 0 || step === steps) {
      curve.push({ step, trainLoss: sum / since, ...evaluate(model) });
      sum = since = 0;
    }
  }
  return curve;
}

/**
 * Runs some works in turns, so that the machine's state is the same for all.
 * @param works functions
 * @returns of each the milliseconds of every round
 */
export function inTurns(works, rounds) {
  const milliseconds = works.map(() => []);
  for (let round = -2; round < rounds; ++round)
    works.forEach((work, n) => {
      const start = performance.now();
      work();
      if (round >= 0) milliseconds[n].push(performance.now() - start); // the first two are a warm-up
    });
  return milliseconds;
}

/**
 * What a training step of several models takes, in turns, and disposes of them. The shortest of all rounds: what others do on the
 * machine only makes a step longer. `ofFirst`: quartiles of the ratio to the first model, round by round.
 * @param made [{ model, optimizer }]
 */
export function stepTimes(made, { tokens, targets }, rounds) {
  try {
    const all = inTurns(
      made.map(
        ({ model, optimizer }) =>
          () =>
            model.trainStep(tokens, targets, optimizer),
      ),
      rounds,
    );
    return all.map((own) => {
      const { q1, q3, best } = ratio(own, all[0]);
      return { stepMilliseconds: Math.min(...own), ofFirst: { q1, q3, best } };
    });
  } finally {
    for (const { model, optimizer } of made) {
      optimizer.dispose();
      model.dispose();
    }
  }
}

/** Loss and accuracy over several batches, each target counted once. */
export function evaluateAll(model, batches) {
  const parts = batches.map(({ tokens, targets }) => model.evaluate(tokens, targets));
  const count = parts.reduce((all, part) => all + part.count, 0);
  const over = (key) => parts.reduce((all, part) => all + part[key] * part.count, 0) / count;
  return { loss: over("loss"), accuracy: over("accuracy") };
}
