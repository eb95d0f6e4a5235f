/**
 * What the heads are shown at: one row of pairs and every question that can be asked of it. The pairs stand in the order
 * of their keys, so that a head that reads the first or the second key of each question draws a pattern of its own.
 */
import type { Tensor } from "headwise";
import { twoRelations } from "./two_relations.mjs";

export const task = twoRelations();
const { keys, values, length } = task; // K, m, L = K + 1

const every = Array.from({ length: task.vocabSize }, (_, token) => ({ token, ...task.describe(token) }));
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

export const letter = (key: number): string => LETTERS[key];

/** The questions, first key by first key: Q = K (K − 1). */
export const questions = every.flatMap(({ token, first, second }) =>
  first === undefined || second === undefined
    ? []
    : [{ token, first, second, name: `${letter(first)} − ${letter(second)}` }],
);
export type Question = (typeof questions)[number];

/** What the columns of a map are: the pairs by their keys, and the question itself. */
export const places: readonly string[] = [...Array.from({ length: keys }, (_, key) => letter(key)), "?"];

/** The tokens [Q, L] of all questions on the pairs with these values, one a key. */
export function probeTokens(valueOfKey: readonly number[]): { data: Int32Array; shape: number[] } {
  const pairs = valueOfKey.map((value, key) => every.find((each) => each.key === key && each.value === value)!.token);
  const data = Int32Array.from(questions.flatMap(({ token }) => [...pairs, token]));
  return { data, shape: [questions.length, length] };
}

export function answerTo({ first, second }: Question, valueOfKey: readonly number[]): number {
  return (((valueOfKey[first] - valueOfKey[second]) % values) + values) % values;
}

/** The attention of each question [Q, L], head by head, out of all weights [Q, H, L, L]. */
export function questionMaps({ data, shape }: Tensor): Tensor[] {
  const heads = shape[1];
  return Array.from({ length: heads }, (_, h) => ({
    data: Float32Array.from({ length: questions.length * length }, (_unused, cell) => {
      const question = Math.floor(cell / length);
      return data[((question * heads + h) * length + length - 1) * length + (cell % length)];
    }),
    shape: [questions.length, length],
  }));
}

/** The answer that the model gives to each question: the likeliest of all tokens; null where that is no answer. */
export function answersIn({ data, shape }: Tensor): (number | null)[] {
  const vocabulary = shape[2];
  return questions.map((_, q) => {
    const start = ((q + 1) * length - 1) * vocabulary;
    const logits = data.subarray(start, start + vocabulary);
    let best = 0;
    for (let token = 1; token < vocabulary; ++token) if (logits[token] > logits[best]) best = token;
    return task.describe(best).answer ?? null;
  });
}

export interface Reading {
  /** Mean weight on the pair of the first key that is asked for, and on that of the second. */
  readonly first: number;
  readonly second: number;
  readonly role: "first" | "second" | "both" | "neither";
}

/** Share of the attention on the two keys together from which we say that a head reads them; evenly spread it is 0.4. */
const READS = 0.6;

export function readingOf(map: Tensor): Reading {
  const mean = (key: (question: Question) => number) =>
    questions.reduce((sum, question, q) => sum + map.data[q * length + key(question)], 0) / questions.length;
  const first = mean((question) => question.first);
  const second = mean((question) => question.second);
  if (first + second < READS) return { first, second, role: "neither" };
  return { first, second, role: first > 2 * second ? "first" : second > 2 * first ? "second" : "both" };
}

/** The patterns to look for, as a perfect reader of the first or the second key would draw them. */
export const patternOf = (key: "first" | "second"): Tensor => ({
  data: Float32Array.from({ length: questions.length * length }, (_, cell) =>
    Number(questions[Math.floor(cell / length)][key] === cell % length),
  ),
  shape: [questions.length, length],
});
