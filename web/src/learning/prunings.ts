/** Orders of removal: their names, and what is said of them, from the numbers alone. */
import { decimals } from "../numbers";
import type { Removal, Scoring } from "./pruner";

export const RANDOM_ORDERS = 20;
export const nameOf = ({ method, seed }: Scoring) => (seed === undefined ? method : `${method} ${seed}`);
/** An order of removal and the number of heads that are removed. */
export const hereOf = (name: string, removed: number) => `${name}, ${removed}`;

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The loss may rise by this part, as in docs/experiments. */
const ALLOWED = 0.01;
/** Better than so many random orders is more than luck. */
const SURE = 0.95;

/** How many heads can go, in their order, before the loss has risen by more than is allowed. */
function spared({ losses }: Removal): number {
  const first = losses.findIndex((loss) => loss > losses[0] * (1 + ALLOWED));
  return (first === -1 ? losses.length : first) - 1;
}

/** Mean loss over all numbers of heads removed, from one on: the area under the curve. */
const area = ({ losses }: Removal): number => mean(losses.slice(1));

const span = (values: readonly number[], format: (value: number) => string) => {
  const [least, most] = [format(Math.min(...values)), format(Math.max(...values))];
  return least === most ? least : `${least} to ${most}`;
};

export function conclusionsOn(chosen: Removal | undefined, random: readonly Removal[], method: string): string[] {
  if (!chosen || random.length === 0) return [];
  const own = area(chosen);
  const areas = random.map(area);
  const beaten = areas.filter((other) => own < other).length;
  const share = beaten / random.length;
  const verdict =
    share >= SURE ? "better than chance" : share <= 1 - SURE ? "worse than chance" : "not told from chance";
  return [
    `By ${method}: ${verdict}. Over all numbers of heads removed the mean loss is ${decimals(own)}, lower than with ` +
      `${beaten} of ${random.length} random orders (${span(areas, decimals)}).`,
    `While the loss rises by at most ${100 * ALLOWED} %, without training afterwards, ${spared(chosen)} of ` +
      `${chosen.order.length} heads can go; at random, ${span(random.map(spared), String)}. ` +
      "Heads are scored on one half of the text, and the loss is measured on the other.",
  ];
}
