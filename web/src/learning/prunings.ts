/** What is said of pruning, from the numbers alone. */
import type { Measured } from "./pruner";
import type { Pruning, Removal } from "./pruning.svelte";

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The loss may rise by this part, as in docs/experiments. */
const ALLOWED = 0.01;

/** How many heads can go before the loss rises by more than is allowed. */
function spared({ points }: Removal, whole: Measured): number {
  let count = 0;
  while (points.has(count + 1) && points.get(count + 1)!.loss <= whole.loss * (1 + ALLOWED)) ++count;
  return count;
}

export function spareable({ chosen, random, whole, count }: Pruning, name: string): string[] {
  if (!chosen || !whole || random.length === 0) return [];
  const by = spared(chosen, whole);
  const atRandom = random.map((removal) => spared(removal, whole));
  const [fewest, most] = [Math.min(...atRandom), Math.max(...atRandom)];
  const randomly = fewest === most ? `${fewest}` : `${fewest} to ${most}`;
  const verdict =
    by > most
      ? "Looking before cutting pays."
      : by < fewest
        ? "Chance chose better here."
        : "Chance does as well here.";
  return [
    `By ${name.toLowerCase()}, ${by} of ${count} heads can go; at random, ${randomly}.`,
    `Can go: the loss rises by at most ${100 * ALLOWED} %, without any training afterwards. ${verdict}`,
  ];
}
