/** Batches to measure a model on. */
import { invalidOption, invalidShape, readList } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, type OptionTable } from "../base/options.js";
import { sameShape } from "../base/tensor.js";
import { checkTokens, type CheckedTokens } from "../transformer/tokens.js";
import type { Batch, Transformer } from "../transformer/types.js";
import type { Progress } from "../base/types.js";

export interface CheckedBatch {
  readonly tokens: CheckedTokens;
  readonly targets: CheckedTokens;
}

/** Copies of batches that fit the model. */
export function checkBatches(value: unknown, name: string, { config }: Transformer): readonly CheckedBatch[] {
  const { vocabSize, contextLength } = config;
  const table = {
    tokens: (tokens, name) => checkTokens(tokens, name, vocabSize, contextLength),
    targets: (targets, name) => checkTokens(targets, name, vocabSize, contextLength, -1),
  } satisfies OptionTable<Batch>;
  return readList(value, name, "an array of batches { tokens, targets }").map((batch, n) => {
    const at = `${name}[${n}]`;
    if (batch === undefined) throw invalidOption(at, "{ tokens, targets }", batch);
    const { tokens, targets } = readOptions(batch, at, table, `${at}.`);
    if (!sameShape(tokens.shape, targets.shape))
      throw invalidShape(`${at}.targets`, `that of tokens, [${tokens.shape.join(", ")}]`, targets.shape);
    return { tokens, targets };
  });
}

/** The rows of batches. */
export function sequencesOf(batches: readonly CheckedBatch[]): { tokens: Int32Array; targets: Int32Array }[] {
  return batches.flatMap(({ tokens, targets }) =>
    Array.from({ length: tokens.batch }, (_, b) => {
      const row = ({ data, length }: CheckedTokens) => data.subarray(b * length, (b + 1) * length);
      return { tokens: row(tokens), targets: row(targets) };
    }),
  );
}

/** Says "one more of `total`". */
export function counter(total: number): () => Progress {
  let done = 0;
  return () => ({ done: ++done, total });
}

/** An error about a model whose numbers mean nothing. */
export function notMeasurable(what: string): HeadwiseError {
  return new HeadwiseError("invalid-option", `model: ${what}; are all of its parameters finite numbers?`);
}

/**
 * The mean loss of all targets that count; 0 where none does. Throws `invalid-option` where it is not finite: no other loss
 * can be compared with it. `step`: says how far the whole is.
 */
export function* lossOf(
  model: Transformer,
  batches: readonly CheckedBatch[],
  step = counter(batches.length),
): LongWork<number> {
  let [sum, all] = [0, 0];
  for (const { tokens, targets } of batches) {
    const { loss, count } = model.evaluate(tokens, targets);
    if (count > 0) [sum, all] = [sum + loss * count, all + count];
    yield step();
  }
  const mean = all === 0 ? 0 : sum / all;
  if (!Number.isFinite(mean)) throw notMeasurable(`its loss is ${mean}`);
  return mean;
}
