/** What an analysis measures of a forward pass: a number that it reads off the logits. */
import { checkInteger, invalidOption, readList } from "../base/checks.js";
import { hasMembers, readOptions, type OptionTable } from "../base/options.js";
import { HeadwiseError } from "../base/errors.js";
import type { Tensor } from "../base/types.js";
import { notMeasurable } from "../heads/batches.js";
import type { CheckedTokens } from "../transformer/tokens.js";
import type { Model } from "../transformer/transformer.js";
import type { Edit, ResolvedTransformerConfig } from "../transformer/types.js";
import { checkPosition } from "./model.js";
import type { LogitMetric, Metric } from "./types.js";

/** A logit difference, a token for each row of the batch. */
export interface CheckedDifference {
  readonly position: number;
  readonly answer: Int32Array;
  readonly against: Int32Array | undefined;
}

const metricTable = {
  answer: (value) => value,
  against: (value) => value,
  position: (value) => value,
} satisfies OptionTable<LogitMetric>;

/** One token for all rows, or one for each. */
function checkAnswer(value: unknown, name: string, { vocabSize }: ResolvedTransformerConfig, rows: number): Int32Array {
  const check = (token: unknown, at: string) => checkInteger(token, at, 0, vocabSize - 1);
  if (!Array.isArray(value)) return new Int32Array(rows).fill(check(value, name));
  const tokens = readList(value, name, "a token, or one for each row").map((token, n) => check(token, `${name}[${n}]`));
  if (tokens.length === rows) return Int32Array.from(tokens);
  throw new HeadwiseError("invalid-shape", `${name}: expected a token for each of ${rows} rows, got ${tokens.length}`);
}

/** As read from options, and not checked. */
type DifferenceParts = { answer: unknown; against: unknown; position: unknown };

export function fitDifference(
  { answer, against, position }: DifferenceParts,
  prefix: string,
  { config }: Model,
  { batch, length }: Pick<CheckedTokens, "batch" | "length">,
): CheckedDifference {
  return {
    position: checkPosition(position, `${prefix}position`, length),
    answer: checkAnswer(answer, `${prefix}answer`, config, batch),
    against: against === undefined ? undefined : checkAnswer(against, `${prefix}against`, config, batch),
  };
}

/** @param name of the option that is read */
export function checkDifference(value: unknown, name: string, model: Model, tokens: CheckedTokens): CheckedDifference {
  if (!hasMembers(value)) throw invalidOption(name, "{ answer, against?, position? }", value);
  return fitDifference(readOptions(value, name, metricTable, `${name}.`), `${name}.`, model, tokens);
}

/** Measures a forward pass. */
export type Measure = (tokens: CheckedTokens, edits?: readonly Edit[]) => number;

function differenceIn({ data, shape }: Tensor, { position, answer, against }: CheckedDifference): number {
  const [width, isLast] = [shape.at(-1)!, data.length === answer.length * shape.at(-1)!];
  const length = isLast ? 1 : shape.at(-2)!;
  let sum = 0;
  answer.forEach((token, b) => {
    const row = (b * length + (isLast ? 0 : position)) * width;
    sum += data[row + token]! - (against === undefined ? 0 : data[row + against[b]!]!);
  });
  return sum / answer.length;
}

/** Reads a metric for inputs in the shape of `tokens`. */
export function checkMetric(value: unknown, name: string, model: Model, tokens: CheckedTokens): Measure {
  const logitsOf = (input: CheckedTokens, logits: "all" | "last", edits?: readonly Edit[]) =>
    model.forward(input, { logits, edits }).logits!;
  const finite = (result: unknown) => {
    if (typeof result !== "number") throw invalidOption(name, "a function that returns a number", result);
    if (!Number.isFinite(result)) throw notMeasurable(`the metric is ${result}`);
    return result;
  };
  if (typeof value === "function") {
    const metric = value as Exclude<Metric, LogitMetric>;
    return (input, edits) => finite(metric(logitsOf(input, "all", edits)));
  }
  if (!hasMembers(value)) throw invalidOption(name, "{ answer, against?, position? } or a function", value);
  const difference = checkDifference(value, name, model, tokens);
  const logits = difference.position === tokens.length - 1 ? "last" : "all";
  return (input, edits) => finite(differenceIn(logitsOf(input, logits, edits), difference));
}
