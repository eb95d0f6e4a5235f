/** Batches for measuring a model. */
import { invalidOption, invalidShape, readList } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, type OptionTable } from "../base/options.js";
import { sameShape } from "../base/tensor.js";
import { checkTokens, type CheckedTokens } from "../transformer/tokens.js";
import type { Batch, AnyTransformer } from "../transformer/types.js";
import type { Progress } from "../base/types.js";

export interface CheckedBatch {
  readonly tokens: CheckedTokens;
  readonly targets: CheckedTokens;
}

/** Copies of batches that fit the model. */
export function checkBatches(value: unknown, name: string, { config }: AnyTransformer): readonly CheckedBatch[] {
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

/** The rows of all batches, one sequence each. */
export function sequencesOf(batches: readonly CheckedBatch[]): { tokens: Int32Array; targets: Int32Array }[] {
  return batches.flatMap(({ tokens, targets }) =>
    Array.from({ length: tokens.batch }, (_, b) => {
      const row = ({ data, length }: CheckedTokens) => data.subarray(b * length, (b + 1) * length);
      return { tokens: row(tokens), targets: row(targets) };
    }),
  );
}

/** Makes a function that returns the progress after one more step of `total`. */
export function counter(total: number): () => Progress {
  let done = 0;
  return () => ({ done: ++done, total });
}

/** The error for a model that gives NaN or infinity. */
export function notMeasurable(what: string): HeadwiseError {
  return new HeadwiseError("invalid-option", `model: ${what}; are all of its parameters finite numbers?`);
}

/**
 * The mean loss over all targets that are not ignored; 0 if there are none. Throws `invalid-option` if it is not finite, because losses
 * could not be compared. `step` returns the progress of the whole work.
 */
export function* lossOf(
  model: AnyTransformer,
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
