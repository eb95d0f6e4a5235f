/**
 * What stands in "Train" before anything is trained here: a finished run of every number of heads, and how other seeds ended.
 * tools/experiments writes it, by the page's own code.
 */
import type { Letters } from "./lane";
import { places, questions } from "./probe";
import stored from "./cached_training.json";
import type { LaneView } from "./training.svelte";

/** Runs of the experiments that end with a model of so many heads. */
interface Ends {
  readonly heads: number;
  readonly steps: number;
  /** Share of right answers, seed by seed from 0 on. */
  readonly accuracy: readonly number[];
}

const shape = [questions.length, places.length];

export const cachedTraining: {
  seed: number;
  values: readonly number[];
  parameters: number;
  views: readonly LaneView[];
} = {
  seed: stored.seed,
  values: stored.values,
  parameters: stored.parameters,
  views: stored.lanes.map(({ heads, steps, loss, accuracy, maps, answers, letters }) => ({
    heads,
    points: steps.map((step, n) => ({ step, loss: loss[n], accuracy: accuracy[n] })),
    look: {
      maps: maps.map((thousandths) => ({ data: Float32Array.from(thousandths, (weight) => weight / 1000), shape })),
      answers,
    },
    letters: letters satisfies Letters,
  })),
};

/** With the page's own number of steps. */
export const seeds: readonly Ends[] = stored.seeds;
/** One head, for longer. */
export const longer: Ends = stored.longer;
