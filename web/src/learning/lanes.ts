/** How head counts look and what is said of them. */
import { sideRamp } from "../colors";
import { percent } from "../numbers";
import { longer, seeds } from "./cached_training";
import type { LaneView } from "./training.svelte";
import { sideOf } from "./probe";

export const hueOf = (heads: number): string => `var(--count-${heads})`;
/** Of lines, in pixels; none for the most heads. */
export const dashOf = (heads: number): string | undefined => ({ 1: "1 4", 2: "4 4", 4: "10 4" })[heads];

/** The colours of a map's cells, by the letter that they belong to. */
export const rampOf = (dark: boolean) => (question: number, place: number) => sideRamp(sideOf(question, place), dark);

export const nameOf = (heads: number): string => (heads === 1 ? "1 head" : `${heads} heads`);

/** From this accuracy on we say that the task is learnt, as docs/experiments do. */
const LEARNT = 0.95;
/** A letter is kept, or the other one lost, from this difference on between how far answers follow them. */
const APART = 0.5;

const list = (parts: readonly string[]) =>
  parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
const whole = (share: number) => `${Math.round(100 * share)} %`;
const thousands = (steps: number) => steps.toLocaleString("en");

/** What the runs of the experiments say, over their seeds: they decide, not the one run on screen. */
export function lesson(all = seeds, later = longer): string[] {
  const learnt = ({ accuracy }: { accuracy: readonly number[] }) => accuracy.filter((share) => share >= LEARNT).length;
  const each = all.map((ends) => `${nameOf(ends.heads)} with ${learnt(ends)} of ${ends.accuracy.length} seeds`);
  const one = all.find(({ heads }) => heads === later.heads)!;
  const times = later.steps / one.steps;
  const much = `Given ${times} times as many steps, one head gets there with ${learnt(later)} of ${later.accuracy.length}`;
  const sooner = all.some((ends) => learnt(ends) > learnt(one));
  return [
    `${thousands(one.steps)} steps are enough for ${whole(LEARNT)} right answers: ${list(each)}.`,
    learnt(later) > learnt(one) && sooner
      ? `${much}: how many heads there are decides how soon the task is learnt more than whether it is.`
      : `${much}.`,
  ];
}

/** What came out of the run on screen, from its numbers alone. */
export function conclusions(views: readonly LaneView[], seed: number): string[] {
  const ends = views.flatMap(({ heads, points }) => (points.length > 0 ? [{ heads, ...points.at(-1)! }] : []));
  if (ends.length === 0) return [];
  const right = ends.map(({ heads, accuracy }) => `${nameOf(heads)} ${percent(accuracy)}`);
  const said = [`This run, seed ${seed}: ${list(right)} right. One run says little: see the other seeds.`];
  const test = views.flatMap(({ heads, letters }) => (letters && heads > 1 ? [{ heads, ...letters }] : []));
  if (test.length === 0) return said;
  const each = test.map(({ heads, more, less }) => `${whole(more)} and ${whole(less)} with ${heads} heads`);
  const apart = test.filter(({ more, less }) => less - more >= APART).length;
  const verdict =
    apart === test.length
      ? "each head is one letter's."
      : apart > 0
        ? "in some of the models each head is one letter's."
        : "both letters suffer without any of the heads, whatever it looks at.";
  said.push(
    "With one head switched off, answers still follow the letter that suffers more, and the other one, in " +
      `${list(each)} (means over heads and questions): ${verdict}`,
  );
  return said;
}
