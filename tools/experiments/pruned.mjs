// Results of pruning: the curves of several models and seeds, combined for each method.
import { groups, mean, median } from "./statistics.mjs";

/** The change from the whole model: relative loss, or lost accuracy if the loss is near 0, where a ratio means nothing. */
export const worse = {
  text: (point, whole) => point.loss / whole.loss - 1,
  "two-relations": (point, whole) => whole.accuracy - point.accuracy,
};

/** Number of heads that can be removed before the limit is first exceeded. `of` returns a point's losses; points without are skipped. */
function allowed({ points }, whole, limit, change, of) {
  const known = points.filter((point) => of(point) !== undefined);
  if (known.length === 0) return undefined;
  const first = known.findIndex((point) => change(of(point), whole) > limit);
  return first === -1 ? known.at(-1).removed : (known[first - 1]?.removed ?? 0);
}

/** Median and range of the values that exist; undefined if there are none. */
function range(values) {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0
    ? undefined
    : { median: median(known), least: Math.min(...known), most: Math.max(...known) };
}

/** How many of the model's random orders lose more than this one, over the whole curve: of `orders`. */
function rank({ points, method }, whole, change) {
  const average = (of) => mean(of.map((point) => change(point, whole)));
  const random = whole.curves.filter((other) => other.method === "random" && method !== "random");
  return {
    beats: random.filter((other) => average(other.points) > average(points)).length,
    orders: random.length,
  };
}

/**
 * @param kind "text" or "two-relations"; found: that part of pruning.json
 * @returns per method: its mean points, how many heads can be removed, and the mean change over the curve
 */
export function byMethod(kind, { models, settings }) {
  const change = worse[kind];
  const curves = models.flatMap((whole) => whole.curves.map((own) => ({ ...own, whole, ...rank(own, whole, change) })));
  return [...groups(curves, ({ method }) => method)].map(([method, own]) => {
    const points = own[0].points.map((point, n) => {
      const all = own.map(({ points: others, whole }) => ({ ...others[n], whole }));
      const tuned = all.filter((one) => one.tuned !== undefined);
      const timed = all.filter(({ times }) => times !== undefined);
      const over = (list, key) => (list.length === 0 ? undefined : mean(list.map(key)));
      return {
        ...{ removed: point.removed, fraction: point.fraction },
        loss: over(all, ({ loss }) => loss),
        accuracy: over(all, ({ accuracy }) => accuracy),
        change: over(all, (one) => change(one, one.whole)),
        changes: all.map((one) => change(one, one.whole)),
        tuned: over(tuned, (one) => one.tuned.loss),
        tunedAccuracy: over(tuned, (one) => one.tuned.accuracy),
        tunedChange: over(tuned, (one) => change(one.tuned, one.whole)),
        milliseconds: median(timed.map(({ times }) => times.milliseconds)),
        share: median(timed.map(({ times }) => times.share)),
      };
    });
    const within = (of, whole) => range(own.map((one) => allowed(one, whole(one.whole), settings.limit, change, of)));
    return {
      ...{ method, points },
      before: within(
        (point) => point,
        (whole) => whole,
      ),
      after: within(
        (point) => point.tuned,
        (whole) => whole,
      ),
      afterControl: within(
        (point) => point.tuned,
        (whole) => whole.tuned,
      ),
      average: mean(points.map((point) => point.change)),
      wholeMilliseconds: median(own.flatMap(({ times }) => times?.milliseconds ?? [])),
      beats: own.map(({ beats }) => beats),
      orders: own[0].orders,
    };
  });
}

/**
 * The methods, sorted by how little they lose over the whole curve; and those that lose less than nearly all random orders, in every
 * model.
 */
export function ranking(methods) {
  const chance = methods.find(({ method }) => method === "random").average;
  const sorted = methods.filter(({ method }) => method !== "random").sort((a, b) => a.average - b.average);
  return { sorted, chance, better: sorted.filter(({ beats, orders }) => Math.min(...beats) >= 0.95 * orders) };
}
