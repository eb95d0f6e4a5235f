/** The largest entries of a product of two tall matrices, without the product. */
import type { LongWork } from "../base/long_work.js";
import type { Progress } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import { multiply } from "./folded.js";
import type { TokenPair } from "./types.js";
import { dot } from "./weights.js";

/** Rows of one product, and columns. */
const fromsAtOnce = 256;
const tosAtOnce = 4096;

/** Rows [count, D], the longest first: their indices, their lengths, and they themselves. */
function byLength(rows: Float32Array, D: number) {
  const row = (n: number) => rows.subarray(n * D, (n + 1) * D);
  const lengths = Float64Array.from({ length: rows.length / D }, (_, n) => Math.sqrt(dot(row(n), row(n))));
  const order = Array.from(lengths.keys()).sort((one, other) => lengths[other]! - lengths[one]!);
  const data = new Float32Array(rows.length);
  order.forEach((n, at) => data.set(row(n), at * D));
  return { order, data, length: (at: number) => lengths[order[at]!]! };
}

export const pairSteps = (rows: number) => Math.ceil(rows / fromsAtOnce);

/**
 * The `count` pairs of rows of A and B [.., D] with the largest products, the largest first. A product is at most that of the lengths, so
 * that not all blocks of the product are needed.
 */
export function* largestPairs(
  instance: Instance,
  a: Float32Array,
  b: Float32Array,
  D: number,
  count: number,
  step: () => Progress,
): LongWork<TokenPair[]> {
  const best: TokenPair[] = [];
  const [froms, tos] = [byLength(a, D), byLength(b, D)];
  let least = -Infinity; // what a pair must exceed
  const add = (pair: TokenPair) => {
    const at = best.findIndex((other) => other.value < pair.value);
    best.splice(at < 0 ? best.length : at, 0, pair);
    best.length = Math.min(best.length, count);
    if (best.length === count) least = best.at(-1)!.value;
  };
  for (let first = 0; first < froms.order.length; first += fromsAtOnce) {
    const rows = froms.data.subarray(first * D, (first + fromsAtOnce) * D);
    for (let start = 0; count > 0 && start < tos.order.length; start += tosAtOnce) {
      if (froms.length(first) * tos.length(start) <= least) break;
      const columns = Math.min(tosAtOnce, tos.order.length - start);
      const product = multiply(instance, rows, tos.data.subarray(start * D, (start + columns) * D), D);
      for (let n = 0; n < product.length; ++n) {
        if (product[n]! <= least) continue;
        const [row, column] = [Math.floor(n / columns), n % columns];
        add({ from: froms.order[first + row]!, to: tos.order[start + column]!, value: product[n]! });
      }
    }
    yield step();
  }
  return best;
}
