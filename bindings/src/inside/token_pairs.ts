/** The largest entries of a product of two tall matrices, without the product. */
import type { LongWork } from "../base/long_work.js";
import type { Progress } from "../base/types.js";
import type { TokenPair } from "./types.js";
import { dot } from "./weights.js";

/** Rows of [count, D], the longest first. */
function byLength(rows: Float32Array, D: number) {
  const lengths = Float64Array.from({ length: rows.length / D }, (_, n) => {
    const row = rows.subarray(n * D, (n + 1) * D);
    return Math.sqrt(dot(row, row));
  });
  const order = Array.from(lengths.keys()).sort((one, other) => lengths[other]! - lengths[one]!);
  return order.map((n) => ({ n, length: lengths[n]!, row: rows.slice(n * D, (n + 1) * D) }));
}

export const pairSteps = 64;

/**
 * The `count` pairs of rows of A and B [.., D] with the largest products, the largest first. A product is at most that of the lengths, so
 * that most pairs need not be looked at. Takes `pairSteps` steps.
 */
export function* largestPairs(
  a: Float32Array,
  b: Float32Array,
  D: number,
  count: number,
  step: () => Progress,
): LongWork<TokenPair[]> {
  const tos = byLength(b, D);
  const best: TokenPair[] = [];
  const worst = () => (best.length < count ? -Infinity : best.at(-1)!.value);
  let steps = 0;
  const froms = count > 0 ? byLength(a, D) : [];
  for (const [n, from] of froms.entries()) {
    for (; steps < Math.floor((n * pairSteps) / froms.length); ++steps) yield step();
    if (from.length * (tos[0]?.length ?? 0) <= worst()) break;
    for (const to of tos) {
      if (from.length * to.length <= worst()) break;
      const value = dot(from.row, to.row);
      if (value <= worst()) continue;
      const at = best.findIndex((pair) => pair.value < value);
      best.splice(at < 0 ? best.length : at, 0, { from: from.n, to: to.n, value });
      best.length = Math.min(best.length, count);
    }
  }
  for (; steps < pairSteps; ++steps) yield step();
  return best;
}
