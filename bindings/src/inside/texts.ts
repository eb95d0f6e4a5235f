/** Texts to measure a model on, and its loss on them. */
import { invalidOption, invalidShape, readList } from "../base/checks.js";
import { hasMembers, optional, readOptions } from "../base/options.js";
import { isTensorLike } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import { notMeasurable, type CheckedBatch } from "../heads/batches.js";
import { checkTokens, type CheckedTokens } from "../transformer/tokens.js";
import type { Model } from "../transformer/transformer.js";
import type { Edit } from "../transformer/types.js";
import { tokensFor } from "./model.js";

/** Tokens, and the token to predict at each; −1: none. */
export interface Text {
  readonly tokens: CheckedTokens;
  readonly targets: Int32Array;
}

/** Of each token the next one; of the last none. */
const nextTokens = ({ data, length }: CheckedTokens) =>
  data.map((_, n) => ((n + 1) % length === 0 ? -1 : data[n + 1]!));

/** Reads batches: { tokens, targets? }, or tokens alone. Without targets a token is to predict the next one. */
export function checkTexts(value: unknown, name: string, model: Model): readonly Text[] {
  const given = readList(value, name, "an array of batches { tokens, targets? }, or of tokens");
  if (given.length === 0) throw invalidOption(name, "at least one batch", given);
  const { vocabSize, contextLength } = model.config;
  return given.map((each, n) => {
    const at = `${name}[${n}]`;
    const table = {
      tokens: (tokens: unknown, name: string) => tokensFor(model, tokens, name),
      targets: optional((targets, name) => checkTokens(targets, name, vocabSize, contextLength, -1)),
    };
    if (!hasMembers(each) || isTensorLike(each)) {
      const tokens = tokensFor(model, each, at);
      return { tokens, targets: nextTokens(tokens) };
    }
    const { tokens, targets } = readOptions(each, at, table, `${at}.`);
    if (targets && (targets.batch !== tokens.batch || targets.length !== tokens.length))
      throw invalidShape(`${at}.targets`, `that of tokens, [${tokens.shape.join(", ")}]`, targets.shape);
    return { tokens, targets: targets?.data ?? nextTokens(tokens) };
  });
}

/** The same as batches with targets. */
export const checkTextBatches = (value: unknown, name: string, model: Model): readonly CheckedBatch[] =>
  checkTexts(value, name, model).map(({ tokens, targets }) => ({ tokens, targets: { ...tokens, data: targets } }));

/** Cross-entropy of logits [..., V] in nats: its sum over the targets, and their number. */
function crossEntropy({ data, shape }: Tensor, targets: Int32Array): { sum: number; count: number } {
  const width = shape.at(-1)!;
  let [sum, count] = [0, 0];
  targets.forEach((target, row) => {
    if (target < 0) return;
    const logits = data.subarray(row * width, (row + 1) * width);
    let most = -Infinity;
    for (const logit of logits) most = Math.max(most, logit);
    let total = 0;
    for (const logit of logits) total += Math.exp(logit - most);
    sum += Math.log(total) + most - logits[target]!;
    ++count;
  });
  return { sum, count };
}

/** The sum of a model's loss on a text, and the number of its targets. */
export function lossOfText(model: Model, { tokens, targets }: Text, edits?: readonly Edit[]) {
  const loss = crossEntropy(model.forward(tokens, { edits }).logits!, targets);
  if (!Number.isFinite(loss.sum)) throw notMeasurable(`its loss is ${loss.sum}`);
  return loss;
}
