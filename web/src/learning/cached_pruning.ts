/** What stands in "Prune" before anything is measured here. tools/experiments writes it, by the page's own code. */
import stored from "./cached_pruning.json";
import type { Place, Removal } from "./pruner";
import type { Here, Known } from "./pruning.svelte";

/** Places are kept as layer and head in turn. */
const places = (flat: readonly number[]): Place[] =>
  Array.from({ length: flat.length / 2 }, (_, n) => ({ layer: flat[2 * n], head: flat[2 * n + 1] }));

const removals: [string, Removal][] = stored.removals.map(({ name, order, ...removal }) => [
  name,
  { ...removal, order: places(order) },
]);
const heres: [string, Here][] = stored.heres.map(({ name, ...here }) => [name, here]);

export const cachedPruning: Known & { heads: readonly number[]; removed: number } = {
  heads: stored.heads,
  /** How many heads are removed at first. */
  removed: stored.removed,
  removals: new Map(removals),
  heres: new Map(heres),
};
