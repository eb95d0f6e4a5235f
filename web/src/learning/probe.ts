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

/** The answer that the model gives to each question, out of the logits [Q, L, V]; null where it is no answer. */
export function answersIn({ data, shape }: Tensor): (number | null)[] {
  const vocabulary = shape[2];
  return questions.map((_, q) => {
    const start = ((q + 1) * length - 1) * vocabulary;
    return task.answerIn(data.subarray(start, start + vocabulary));
  });
}

interface Reading {
  /** Mean weight on the pair of the first letter that is asked for, and on that of the second. */
  readonly first: number;
  readonly second: number;
  /** What it reads: one of the two for all questions, one or the other, both together, or something else. */
  readonly role: "first" | "second" | "either" | "both" | "neither";
}

/** Share of the attention on the two letters from which we say that a head reads them; evenly spread it is 0.4. */
const READS = 0.6;

const weightsOn = (map: Tensor) =>
  questions.map(({ first, second }, q) => ({
    first: map.data[q * length + first],
    second: map.data[q * length + second],
  }));
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

export function readingOf(map: Tensor): Reading {
  const weights = weightsOn(map);
  const first = mean(weights.map((weight) => weight.first));
  const second = mean(weights.map((weight) => weight.second));
  const apart = mean(weights.map((weight) => Math.abs(weight.first - weight.second)));
  const role =
    first + second < READS
      ? "neither"
      : first > 2 * second
        ? "first"
        : second > 2 * first
          ? "second"
          : apart > (first + second) / 2
            ? "either"
            : "both";
  return { first, second, role };
}

/** Which letter of the question a cell of a map belongs to: 0, the first; 1, the second; 2, none. */
export const sideOf = (question: number, place: number): 0 | 1 | 2 =>
  questions[question].first === place ? 0 : questions[question].second === place ? 1 : 2;

/** Where the letters are that each question asks for. */
export const key: Tensor = {
  data: Float32Array.from({ length: questions.length * length }, (_, cell) =>
    Number(sideOf(Math.floor(cell / length), cell % length) < 2),
  ),
  shape: [questions.length, length],
};
