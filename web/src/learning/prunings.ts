/** What is said of pruning, from the numbers alone. */
import type { Removal } from "./pruner";

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The loss may rise by this part, as in docs/experiments. */
const ALLOWED = 0.01;

/** How many heads can go, in their order, before the loss has risen by more than is allowed. */
function spared({ losses }: Removal): number {
  const first = losses.findIndex((loss) => loss > losses[0] * (1 + ALLOWED));
  return (first === -1 ? losses.length : first) - 1;
}

export function conclusionsOn(chosen: Removal | undefined, random: readonly Removal[], method: string): string[] {
  if (!chosen || random.length === 0) return [];
  const by = spared(chosen);
  const atRandom = random.map(spared);
  const [fewest, most] = [Math.min(...atRandom), Math.max(...atRandom)];
  const randomly = fewest === most ? `${fewest}` : `${fewest} to ${most}`;
  const verdict =
    by > most ? "Looking before cutting pays." : by < fewest ? "Chance chose better." : "Chance does as well.";
  return [
    `By ${method}, ${by} of ${chosen.order.length} heads can go; at random, ${randomly}.`,
    `Can go: the loss rises by at most ${100 * ALLOWED} %, without any training afterwards. ${verdict}`,
  ];
}
