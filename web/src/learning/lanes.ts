/** How head counts look and what is said of them. */
import { sideRamp } from "../colors";
import { HEAD_COUNTS, type LaneView } from "./training.svelte";
import { questions, readingOf, sideOf, splitOf } from "./probe";

/** One head is grey, as above on the page; blue and vermillion are the first and the second letter. */
const hues = ["--head-0", "--head-3", "--head-4", "--head-8"];
export const hueOf = (heads: number): string => `var(${hues[HEAD_COUNTS.indexOf(heads)]})`;

/** The colours of a map's cells, by the letter that they belong to. */
export const rampOf = (dark: boolean) => (question: number, place: number) => sideRamp(sideOf(question, place), dark);

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
  const split = views.flatMap(({ heads, look }) =>
    look && heads > 1 ? [`${splitOf(look.maps)} with ${heads} heads`] : [],
  );
  if (split.length > 0)
    said.push(
      `Questions of which two heads take a letter each, of ${questions.length} in the example: ${list(split)}.`,
    );
  const one = views.find(({ heads }) => heads === 1)?.look;
  if (one && readingOf(one.maps[0]).role === "either")
    said.push("The one head reads one letter or the other, seldom both: half of what it has to know.");
  return said;
}

function compared(ends: readonly { heads: number; accuracy: number }[]): string {
  const one = ends.find(({ heads }) => heads === 1);
  const many = ends.filter(({ heads }) => heads > 1);
  const all = list(many.map(({ heads, accuracy }) => `${nameOf(heads)} ${rightly(accuracy)}`));
  if (one === undefined) return `Right answers: ${all}.`;
  if (many.length === 0) return `Right answers: one head ${rightly(one.accuracy)}.`;
  const better = many.filter(({ accuracy }) => accuracy > one.accuracy + SAME).length;
  const verdict =
    better === many.length ? "Splitting helps" : better > 0 ? "Splitting can help" : "More heads did not help";
  return `${verdict}: one head has ${rightly(one.accuracy)} right; ${all}.`;
}
