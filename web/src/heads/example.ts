/**
 * The cached example: one real run of the default sentence, written by tools/make-example.mjs, on screen before anything
 * is downloaded. Pictures are kept as 8-bit steps of their largest magnitude; statistics are rounded to four decimals.
 */
import type { Tensor } from "headwise";
import type { HeadView, RunResult } from "./engine";
import stored from "./example.json";

interface StoredTensor {
  readonly shape: readonly number[];
  readonly largest: number;
  /** Base64 of signed bytes; value = byte / 127 · largest. */
  readonly bytes: string;
}

interface StoredHead {
  /** In thousandths, [T, T]. */
  readonly weights: readonly number[];
  readonly values: StoredTensor;
  readonly contributions: StoredTensor;
  readonly entropy: number;
  readonly distance: number;
  readonly share: number;
}

function tensor({ shape, largest, bytes }: StoredTensor): Tensor {
  const text = atob(bytes);
  const data = Float32Array.from(text, (c) => (((c.charCodeAt(0) << 24) >> 24) / 127) * largest);
  return { data, shape };
}

function head(stored: StoredHead, size: number): HeadView {
  return {
    ...stored,
    weights: { data: Float32Array.from(stored.weights, (thousandths) => thousandths / 1000), shape: [size, size] },
    values: tensor(stored.values),
    contributions: tensor(stored.contributions),
  };
}

const size = stored.tokens.length;

export const example: RunResult = {
  text: stored.text,
  causal: false,
  gates: stored.heads.map(() => 1),
  tokens: stored.tokens,
  heads: stored.heads.map((each) => head(each, size)),
  single: head(stored.single, size),
  change: new Float32Array(size), // all gates open: the output is its own comparison
  milliseconds: null,
};
