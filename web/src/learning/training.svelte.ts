/** One head or many: what is chosen, what trains, and what of it is on screen. No DOM but the animation frame. */
import { quiet } from "../typing";
import { cachedTraining } from "./cached_training";
import { Lane, type Letters, type Look, type Point } from "./lane";
import { questions, task } from "./probe";
import { randomNumbers } from "./random.mjs";

export const HEAD_COUNTS: readonly number[] = [1, 2, 4, 8];

/** `done`: every chosen head count has had all its steps. */
type Phase = "idle" | "running" | "paused" | "done" | "failed";

/** One head count as it is on screen. */
export interface LaneView {
  readonly heads: number;
  readonly points: readonly Point[];
  readonly look: Look | null;
  /** Measured when all steps are done. */
  readonly letters: Letters | null;
}

const nothing = { points: [], look: null, letters: null };

export class Training {
  chosen = $state<readonly number[]>(HEAD_COUNTS);
  seed = $state(cachedTraining.seed);
  /** The value of each key in the example that the heads are shown at. */
  values = $state.raw<readonly number[]>(cachedTraining.values);
  /** Index of the question that the reader is at. */
  question = $state(0);

  phase = $state<Phase>("idle");
  error = $state<string | null>(null);
  /** Of training; pauses do not count. */
  seconds = $state(0);
  #shown = $state.raw<ReadonlyMap<number, LaneView>>(new Map());

  /** Whether the run that came with the page is on screen: until one with another seed, or here, takes its place. */
  readonly cached: boolean = $derived(this.phase === "idle" && this.seed === cachedTraining.seed);
  readonly views: readonly LaneView[] = $derived(
    this.chosen.map((heads) => {
      if (!this.cached) return this.#shown.get(heads) ?? { heads, ...nothing };
      const view = cachedTraining.views.find((own) => own.heads === heads)!;
      return this.values === cachedTraining.values ? view : { ...view, look: null };
    }),
  );
  readonly asked = $derived(questions[this.question]);

  /** As it comes from the workers; put on screen once per animation frame. */
  readonly #latest = new Map<number, LaneView>();
  readonly #lanes = new Map<number, Lane>();
  /** The loop that trains each head count. One that is no longer in here must not do anything any more. */
  readonly #loops = new Map<number, symbol>();
  readonly #below = randomNumbers(1);
  #resumed = 0;
  #frame = 0;

  start(): void {
    if (this.phase === "running" || this.chosen.length === 0) return;
    if (this.phase === "failed") this.reset();
    this.phase = "running";
    this.#resumed = performance.now() - 1000 * this.seconds;
    for (const heads of this.chosen) void this.#train(heads);
  }

  pause(): void {
    if (this.phase !== "running") return;
    this.#show();
    this.phase = "paused";
  }

  reset(): void {
    for (const heads of HEAD_COUNTS) this.#drop(heads);
    this.phase = "idle";
    this.error = null;
    this.seconds = 0;
    this.#show();
  }

  /** Shows a head count or hides it. One that is hidden trains no further and keeps what it has learnt. */
  toggle(heads: number, on: boolean): void {
    this.chosen = HEAD_COUNTS.filter((count) => (count === heads ? on : this.chosen.includes(count)));
    if (on && this.phase === "running") void this.#train(heads);
    if (on && this.phase === "done" && !this.#lanes.get(heads)?.done) this.phase = "paused";
    if (this.chosen.length === 0) this.pause();
    this.#settle();
  }

  /** Another seed is another training from the beginning. */
  setSeed(seed: number): void {
    this.reset();
    this.seed = seed;
  }

  /** Other values for the pairs: the models are asked anew. */
  shuffle(): void {
    this.values = this.values.map(() => this.#below(task.values));
    for (const [heads, lane] of this.#lanes) {
      const fail = (error: unknown) => this.#lanes.get(heads) === lane && this.#fail(error);
      lane.look(this.values).then((look) => this.#put(heads, lane, { look }), fail);
    }
  }

  async #train(heads: number): Promise<void> {
    if (this.#loops.has(heads)) return; // paused and resumed within one slice
    const loop = Symbol();
    const current = () => this.#loops.get(heads) === loop;
    this.#loops.set(heads, loop);
    try {
      const lane = this.#lanes.get(heads) ?? (await Lane.start(heads, this.seed));
      if (!current()) return void lane.dispose();
      this.#lanes.set(heads, lane);
      if (lane.step === 0) await this.#measure(heads, lane);
      const goesOn = () => current() && this.phase === "running" && this.chosen.includes(heads) && !lane.done;
      while (goesOn()) {
        await quiet();
        if (!goesOn()) break;
        await lane.advance();
        await this.#measure(heads, lane);
      }
      if (current() && lane.done && !this.#latest.get(heads)?.letters)
        this.#put(heads, lane, { letters: await lane.letters() });
    } catch (error) {
      if (current()) this.#fail(error); // otherwise it was disposed of, as it should
    }
    if (current()) this.#loops.delete(heads);
    this.#settle();
  }

  async #measure(heads: number, lane: Lane): Promise<void> {
    const { values } = this;
    const [point, look] = await Promise.all([lane.measure(), lane.look(values)]);
    const points = [...(this.#latest.get(heads)?.points ?? []), point];
    this.#put(heads, lane, values === this.values ? { points, look } : { points });
  }

  #put(heads: number, lane: Lane, news: Partial<LaneView>): void {
    if (this.#lanes.get(heads) !== lane) return;
    const before = this.#latest.get(heads) ?? { heads, ...nothing };
    this.#latest.set(heads, { ...before, ...news });
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #show(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#shown = new Map(this.#latest);
    if (this.phase === "running") this.seconds = (performance.now() - this.#resumed) / 1000;
  }

  /** Notices that all is trained. */
  #settle(): void {
    const done = this.chosen.length > 0 && this.chosen.every((heads) => this.#lanes.get(heads)?.done);
    if (!done || this.#loops.size > 0 || !["running", "paused"].includes(this.phase)) return;
    this.#show();
    this.phase = "done";
  }

  #drop(heads: number): void {
    void this.#lanes.get(heads)?.dispose();
    this.#lanes.delete(heads);
    this.#loops.delete(heads);
    this.#latest.delete(heads);
  }

  #fail(error: unknown): void {
    this.phase = "failed";
    this.error = error instanceof Error ? error.message : String(error);
    for (const heads of HEAD_COUNTS) this.#drop(heads);
  }
}
