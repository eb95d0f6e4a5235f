/** How head counts look and what is said of them. */
import { SINGLE } from "../colors";
import { HEAD_COUNTS, type LaneView } from "./training.svelte";
import { readingOf } from "./probe";

/** 0: the grey of the single head, as above on the page. */
const hue = (heads: number) => HEAD_COUNTS.indexOf(heads);

export const hueOf = (heads: number): string => `var(--head-${hue(heads)})`;
export const rampOf = (heads: number): number => (hue(heads) === 0 ? SINGLE : hue(heads) - 1);
export const nameOf = (heads: number): string => (heads === 1 ? "1 head" : `${heads} heads`);

export const rightly = (accuracy: number): string => `${(100 * accuracy).toFixed(1)} %`;

/** From this accuracy on we say that the task is learnt, as docs/experiments do. */
const LEARNT = 0.95;
/** Smaller differences in accuracy are those of seeds. */
const SAME = 0.02;

const list = (parts: readonly string[]) =>
  parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;

/** Plain sentences on what came out, from the numbers alone. */
export function conclusions(views: readonly LaneView[]): string[] {
  const ends = views.flatMap(({ heads, points }) => (points.length > 0 ? [{ heads, ...points.at(-1)! }] : []));
  if (ends.length === 0) return [];
  const said = [compared(ends)];
  const learnt = views.flatMap(({ heads, points }) => {
    const last = points.findLastIndex(({ accuracy }) => accuracy < LEARNT);
    const from = points[last + 1];
    return from ? [`${nameOf(heads)} after ${from.step.toLocaleString("en")} steps`] : [];
  });
  if (learnt.length > 0) said.push(`${rightly(LEARNT)} right and more: ${list(learnt)}.`);
  const split = views.flatMap(({ heads, look }) => {
    const roles = look?.maps.map((map) => readingOf(map).role) ?? [];
    const [first, second] = ["first", "second"].map((role) => roles.filter((each) => each === role).length);
    return first > 0 && second > 0 ? [`of ${heads} heads, ${first} and ${second}`] : [];
  });
  if (split.length > 0) said.push(`Heads that read the first letter, and that read the second: ${split.join("; ")}.`);
  return said;
}

function compared(ends: readonly { heads: number; accuracy: number }[]): string {
  const most = ends.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  const one = ends.find(({ heads }) => heads === 1);
  if (one === undefined || ends.length === 1) return `${nameOf(most.heads)}: ${rightly(most.accuracy)} right.`;
  const many = ends
    .filter(({ heads }) => heads > 1)
    .map(({ heads, accuracy }) => ({ heads, gain: accuracy - one.accuracy }));
  const better = many.filter(({ gain }) => gain > SAME);
  if (better.length === 0) {
    const worse = many.every(({ gain }) => gain < -SAME);
    return `More heads did not help here: one head has ${rightly(one.accuracy)} right${worse ? ", more than any" : ""}.`;
  }
  return `Splitting helps: with the same number of parameters, one head has ${rightly(one.accuracy)} right, ${nameOf(
    most.heads,
  )} have ${rightly(most.accuracy)}.`;
}
