// A causal test of what a model's answers depend on: one of the two values in question grows by one, and the answer must
// follow. With a head switched off, it says which of the two letters the model loses without that head. Maps of attention
// alone do not say it.

import { randomNumbers } from "./random.mjs";

/** @typedef {{ first: number, second: number }} Follows share of the steps of a letter's value that the answer follows, 0 … 1; guessing: 1 / m */

/**
 * Every question on `sets` random sets of values; in each, the value of one letter in question runs through all m numbers
 * while the other values stay. The order of the pairs is random.
 * @param {ReturnType<typeof import("./two_relations.mjs").twoRelations>} task
 * @param {number} sets
 */
export function letterTest(task, sets) {
  const { keys, values } = task;
  const below = randomNumbers(0x1e77);
  const sides = /** @type {const} */ (["first", "second"]);
  const pairs = Array.from({ length: keys * keys }, (_, n) => ({ first: Math.floor(n / keys), second: n % keys }));
  const questions = pairs.filter(({ first, second }) => first !== second);
  const examples = questions.flatMap((question) =>
    Array.from({ length: sets }, () => task.draw(below)).flatMap(({ value, order }) =>
      sides.flatMap((side) =>
        Array.from({ length: values }, (_, v) => {
          const changed = value.map((other, key) => (key === question[side] ? v : other));
          return { ...question, order, value: changed };
        }),
      ),
    ),
  );

  /**
   * @param {{ data: Float32Array, shape: readonly number[] }} logits of the last token of every example, [B, V]
   * @returns {Follows[]} of each question
   */
  function follows({ data, shape: [, vocabulary] }) {
    const answers = examples.map((_, row) => task.answerIn(data.subarray(row * vocabulary, (row + 1) * vocabulary)));
    const share = (/** @type {number} */ start, /** @type {number} */ step) => {
      let right = 0;
      for (let v = 0; v < values; ++v) {
        const [before, after] = [answers[start + v], answers[start + ((v + 1) % values)]];
        if (before !== null && after !== null && (after - before - step + 2 * values) % values === 0) ++right;
      }
      return right / values;
    };
    return questions.map((_, q) => {
      const sum = { first: 0, second: 0 };
      for (let set = 0; set < sets; ++set) {
        const start = 2 * values * (q * sets + set);
        sum.first += share(start, 1) / sets;
        sum.second += share(start + values, -1) / sets;
      }
      return sum;
    });
  }

  return { tokens: task.encode(examples).tokens, follows };
}

/** The edits that switch a head off. @param {number} head */
export const without = (head) => [{ layer: 0, at: /** @type {const} */ ("heads"), head, set: 0 }];

/** Mean over questions. @param {readonly Follows[]} all @returns {Follows} */
export const meanFollows = (all) => ({
  first: all.reduce((sum, { first }) => sum + first, 0) / all.length,
  second: all.reduce((sum, { second }) => sum + second, 0) / all.length,
});

/**
 * Over heads and questions: the letter that suffers more from a missing head, and the other. If a head is one letter's alone,
 * the other is kept, as far as the feed-forward layer can do without the head.
 * @param {readonly (readonly Follows[])[]} off of each head, switched off, the questions
 */
export function harder(off) {
  const all = off.flat();
  const mean = (/** @type {(...values: number[]) => number} */ choose) =>
    all.reduce((sum, { first, second }) => sum + choose(first, second), 0) / all.length;
  return { more: mean(Math.min), less: mean(Math.max) };
}
