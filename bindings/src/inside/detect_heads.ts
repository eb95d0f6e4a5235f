/** Heads that attend to the previous token, to duplicates, or to what followed a duplicate. */
import { checkBoolean, checkInteger, integer, invalidShape, oneOf, seed } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { LongWork } from "../base/long_work.js";
import { group, optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { random } from "../base/random.js";
import { checkTensor, sameShape } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import { counter, notMeasurable } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import type { CheckedTokens } from "../transformer/tokens.js";
import type { Model } from "../transformer/transformer.js";
import { checkTextModel, eachLayer, headColumns, tokensFor, unknownTensor } from "./model.js";
import type { DetectHeadsOptions } from "./types.js";

/** Whether query i of a text is to attend to key j. */
type Pattern = (i: number, j: number, text: Int32Array) => number;

export const patterns: Readonly<Record<"previous" | "duplicate" | "induction", Pattern>> = {
  previous: (i, j) => Number(j === i - 1),
  duplicate: (i, j, text) => Number(j < i && text[j] === text[i]),
  induction: (i, j, text) => Number(j >= 1 && j <= i && text[j - 1] === text[i]),
};

const optionTable = {
  pattern: (value, name) =>
    typeof value === "object" ? checkTensor(value, name) : oneOf(["previous", "duplicate", "induction"])(value, name),
  error: withDefault(oneOf(["mul", "abs"]), "mul"),
  tokens: (value) => value,
  random: optional(
    group({
      length: optional(integer(1)),
      batch: withDefault(integer(1), 4),
      first: optional(integer(0)),
      seed: withDefault(seed, 0),
    }),
  ),
  excludeBos: withDefault(checkBoolean, false),
  excludeCurrentToken: withDefault(checkBoolean, false),
  rounded: withDefault(checkBoolean, false),
} satisfies OptionTable<DetectHeadsOptions>;

type Options = ReturnType<typeof readOptions<typeof optionTable>>;

/** What the scores depend on beside the pattern. */
type ScoreOptions = Pick<Options, "error" | "excludeBos" | "excludeCurrentToken" | "rounded">;

/** Tokens that are given, or random ones, twice, as [B, L]. */
export function textsFor(model: Model, { tokens, random: given }: Pick<Options, "tokens" | "random">): CheckedTokens {
  if (tokens !== undefined) {
    if (given === undefined) return tokensFor(model, tokens, "tokens");
    throw new HeadwiseError("invalid-option", "detectHeads: expected tokens or random, got both");
  }
  const { contextLength, vocabSize } = model.config;
  const { first, batch = 4, seed = 0, length: wanted } = given ?? {};
  const before = first === undefined ? [] : [checkInteger(first, "random.first", 0, vocabSize - 1)];
  const most = Math.min(Math.floor((contextLength - before.length) / 2), vocabSize);
  const length = wanted === undefined ? Math.min(50, most) : checkInteger(wanted, "random.length", 1, most);
  const next = random(seed);
  const rows = Array.from({ length: batch }, () => {
    const drawn = new Set<number>();
    while (drawn.size < length) drawn.add(Math.floor(next() * vocabSize));
    return [...before, ...drawn, ...drawn];
  });
  return tokensFor(model, { data: Int32Array.from(rows.flat()), shape: [batch, rows[0]!.length] }, "random");
}

export const rowsOfTokens = ({ data, batch, length }: CheckedTokens) =>
  Array.from({ length: batch }, (_, b) => data.subarray(b * length, (b + 1) * length));

/** Scores of the heads of a layer, whose weights are [B, H, L, L]: means over the batch. */
export function scoresOf(
  { data, shape }: Tensor,
  texts: readonly Int32Array[],
  pattern: Pattern,
  options: ScoreOptions,
): number[] {
  const [, H, L] = shape as [number, number, number];
  const { excludeBos, excludeCurrentToken, error } = options;
  return Array.from({ length: H }, (_, h) => {
    let score = 0;
    for (const [b, text] of texts.entries()) {
      let [matched, all, apart] = [0, 0, 0];
      for (let i = 0; i < L; ++i) {
        for (let j = 0; j < L; ++j) {
          if ((excludeBos && j === 0) || (excludeCurrentToken && i === j)) continue;
          const weight = data[((b * H + h) * L + i) * L + j]!;
          const expected = pattern(i, j, text);
          matched += weight * expected;
          all += weight;
          apart += Math.abs(weight - expected);
        }
      }
      if (error === "mul") score += all === 0 ? 0 : matched / all;
      else score += 1 - (options.rounded ? Number((apart / L).toFixed(3)) : apart / L);
    }
    return score / texts.length;
  });
}

export function* detectHeads(
  instance: Instance,
  modelLike: unknown,
  optionsLike: DetectHeadsOptions,
): LongWork<Tensor> {
  const options = readOptions(optionsLike, "detectHeads", optionTable);
  const model = checkTextModel(modelLike, instance, "detectHeads");
  const tokens = textsFor(model, options);
  const { length: L } = tokens;
  let pattern: Pattern;
  if (typeof options.pattern === "string") pattern = patterns[options.pattern];
  else {
    const { data, shape } = options.pattern;
    if (!sameShape(shape, [L, L])) throw invalidShape("pattern", `[${L}, ${L}], by query and key`, shape);
    pattern = (i, j) => data[i * L + j]!;
  }
  const texts = rowsOfTokens(tokens);
  const { count, of } = headColumns(model.config);
  const map = unknownTensor(of.length, count);
  const step = counter(of.length);
  for (const [n, { weights }] of eachLayer(model, tokens, { weights: "probabilities" }, texts.length * L * L)) {
    const scores = scoresOf(weights!, texts, pattern, options);
    if (scores.some(Number.isNaN)) throw notMeasurable(`attention weights in layer ${n} are NaN`);
    scores.forEach((score, h) => (map.data[n * count + of[n]![h]!] = score));
    yield step();
  }
  return map;
}
