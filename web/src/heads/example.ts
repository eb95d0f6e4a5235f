/**
 * The cached example: one real run of the default sentence, written by tools/make-example.mjs, on screen before anything is downloaded.
 * Weights are kept in thousandths, statistics are rounded to four decimals.
 */
import type { HeadStatistics } from "headwise";
import stored from "./example.json";
import type { Shown } from "./side.svelte";

const size = stored.tokens.length;
const heads = stored.layers.map((layer) => layer.length);

export const example: Shown = {
  text: stored.text,
  causal: false,
  gates: heads.map((count) => Array<number>(count).fill(1)),
  tokens: stored.tokens,
  weights: stored.layers.map((layer) => ({
    data: Float32Array.from(layer.flatMap(({ weights }) => weights.map((thousandths) => thousandths / 1000))),
    shape: [layer.length, size, size],
  })),
  statistics: stored.layers.map((layer) => layer.map(({ statistics }) => statistics as HeadStatistics)),
  change: new Float32Array(size), // all gates open: the output is its own comparison
  live: 0,
  milliseconds: null,
};
