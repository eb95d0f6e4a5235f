/** Choosing the next token by its logits, in time in proportion to the vocabulary: sorting it would take half as long as a decode step. */
import { HeadwiseError } from "../base/errors.js";

/**
 * The largest value v such that the values >= v have at least `amount` in all, where each has its `share`; the smallest value if there
 * is none. Reorders the values (quickselect, Hoare 1961).
 */
function threshold<T extends Float32Array | Float64Array>(
  values: T,
  amount: number,
  share: (value: number) => number,
): number {
  let [begin, end] = [0, values.length];
  for (;;) {
    const pivot = values[(begin + end) >> 1]!;
    let [larger, next, smaller] = [begin, begin, end]; // the end of the larger values, the next value, the begin of the smaller ones
    let [ofLarger, ofEqual] = [0, 0];
    while (next < smaller) {
      const value = values[next]!;
      if (value > pivot) {
        ofLarger += share(value);
        values[next++] = values[larger]!;
        values[larger++] = value;
      } else if (value < pivot) {
        values[next] = values[--smaller]!;
        values[smaller] = value;
      } else {
        ofEqual += share(value);
        ++next;
      }
    }
    if (larger > begin && ofLarger >= amount) end = larger;
    else if (smaller === end || ofLarger + ofEqual >= amount) return pivot;
    else {
      amount -= ofLarger + ofEqual;
      begin = smaller;
    }
  }
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let n = 0; n < values.length; ++n) total += values[n]!;
  return total;
}

/** Leaves only the largest weights, as few as have a share of `topP` in all; of equal ones, the first. */
function keepLikeliest(weights: Float64Array, topP: number): void {
  let left = topP * sum(weights);
  const least = threshold(weights.slice(), left, (weight) => weight);
  for (const weight of weights) if (weight > least) left -= weight;
  for (let token = 0; token < weights.length; ++token) {
    const weight = weights[token]!;
    if (weight > least) continue;
    if (weight < least || left <= 0) weights[token] = 0;
    else left -= weight;
  }
}

/**
 * A token, drawn from softmax(logits / temperature) of the `topK` largest, and of these the likeliest that have a share of
 * `topP`; of equal ones, the first.
 */
export function chooseToken(
  logits: Float32Array,
  { temperature, topK, topP }: { temperature: number; topK: number; topP: number },
  draw: () => number,
): number {
  let largest = -Infinity;
  for (let token = 0; token < logits.length; ++token) largest = Math.max(largest, logits[token]!); // NaN where one is
  if (!Number.isFinite(largest)) {
    const message = `generate: expected finite logits, but the largest is ${largest}: the model's parameters are not finite, or too large`;
    throw new HeadwiseError("invalid-option", message);
  }
  if (temperature === 0) return logits.indexOf(largest);
  const least = topK < logits.length ? threshold(logits.slice(), topK, () => 1) : -Infinity;
  let places = topK; // ties at the end of the list
  for (const logit of logits) if (logit > least) --places;
  const weights = new Float64Array(logits.length);
  for (let token = 0; token < logits.length; ++token) {
    const logit = logits[token]!;
    if (logit < least || (logit === least && places-- <= 0)) continue;
    weights[token] = Math.exp((logit - largest) / temperature);
  }
  if (topP < 1) keepLikeliest(weights, topP);
  let left = draw() * sum(weights);
  for (let token = 0; token < weights.length; ++token) {
    if (weights[token]! > 0 && (left -= weights[token]!) < 0) return token;
  }
  return logits.indexOf(largest); // rounding
}
