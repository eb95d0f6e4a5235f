/** Pruning: which heads go first, how many are gone, and what has been measured so far. No DOM but the animation frame. */
import { METHODS, Pruner, type Measured, type Method, type Scores, type Scoring } from "./pruner";

export const RANDOM_ORDERS = 3;
const randoms: readonly Scoring[] = Array.from({ length: RANDOM_ORDERS }, (_, seed) => ({ method: "random", seed }));

/** `done`: all that there is to measure for the chosen method has been. */
export type Phase = "idle" | "loading" | "running" | "paused" | "done" | "failed";

/** One order of removal. */
export interface Removal extends Scores {
  /** By the number of heads removed. */
  readonly points: ReadonlyMap<number, Measured>;
}

/** What a model writes, and for which number of removed heads. */
interface Written {
  readonly removed: number;
  readonly text: string;
}

const nameOf = ({ method, seed }: Scoring) => (seed === undefined ? method : `${method} ${seed}`);

export class Pruning {
  method = $state<Method>(METHODS[0]);
  removed = $state(0);

  phase = $state<Phase>("idle");
  error = $state<string | null>(null);
  progress = $state.raw<{ loadedBytes: number; totalBytes: number } | null>(null);
  /** Of the scoring under way, 0 … 1. */
  scoring = $state<number | null>(null);
  /** Heads of each layer; empty before the model is there. */
  heads = $state.raw<readonly number[]>([]);
  #shown = $state.raw<ReadonlyMap<string, Removal>>(new Map());
  #texts = $state.raw<ReadonlyMap<string, Written>>(new Map());

  readonly count: number = $derived(this.heads.reduce((sum, heads) => sum + heads, 0));
  readonly chosen: Removal | undefined = $derived(this.#shown.get(this.method));
  readonly random: readonly Removal[] = $derived(randoms.flatMap((each) => this.#shown.get(nameOf(each)) ?? []));
  readonly whole: Measured | undefined = $derived(
    [...this.#shown.values()].map(({ points }) => points.get(0)).find(Boolean),
  );
  /** The part of what there is to measure that has been. */
  readonly done: number = $derived(
    [this.chosen, ...this.random].reduce((sum, removal) => sum + (removal?.points.size ?? 0), 0) /
      ((this.count + 1) * (1 + RANDOM_ORDERS)),
  );
  readonly written: string = $derived(this.#text(this.method));
  readonly writtenAtRandom: string = $derived(this.#text(nameOf(randoms[0])));

  #pruner: Pruner | undefined;
  readonly #latest = new Map<string, Removal>();
  readonly #latestTexts = new Map<string, Written>();
  /** The loop under way. One that is no longer in here must not do anything any more. */
  #loop: AbortController | undefined;
  #frame = 0;

  #text(name: string): string {
    const written = this.#texts.get(name);
    return written?.removed === this.removed ? written.text : "";
  }

  async start(base: URL): Promise<void> {
    if (this.phase === "failed") this.reset();
    if (this.phase === "paused") return this.#run();
    if (this.phase !== "idle") return;
    this.phase = "loading";
    const loop = (this.#loop = new AbortController());
    try {
      const pruner = await Pruner.start(base, (loadedBytes, totalBytes) => {
        if (this.#loop === loop) this.progress = { loadedBytes, totalBytes };
      });
      if (this.#loop !== loop) return void pruner.dispose();
      this.#pruner = pruner;
      this.heads = pruner.heads;
      this.removed = Math.round(this.count / 4);
      await this.#run();
    } catch (error) {
      if (this.#loop === loop) this.#fail(error);
    }
  }

  pause(): void {
    if (this.phase !== "running") return;
    this.phase = "paused";
    this.#stop();
  }

  reset(): void {
    this.#stop();
    void this.#pruner?.dispose();
    this.#pruner = undefined;
    this.#latest.clear();
    this.#latestTexts.clear();
    this.phase = "idle";
    this.error = this.progress = null;
    this.heads = [];
    this.removed = 0;
    this.#show();
  }

  setMethod(method: Method): void {
    this.method = method;
    this.#restart();
  }

  remove(count: number): void {
    this.removed = count;
    if (this.phase === "done") this.#restart(); // there is a text to write
  }

  #restart(): void {
    if (this.phase !== "running" && this.phase !== "done") return;
    this.#stop();
    void this.#run();
  }

  #stop(): void {
    this.#loop?.abort();
    this.#loop = undefined;
    this.scoring = null;
  }

  async #run(): Promise<void> {
    const loop = (this.#loop = new AbortController());
    this.phase = "running";
    try {
      for (let job = this.#next(loop.signal); job && this.#loop === loop; job = this.#next(loop.signal)) await job();
      if (this.#loop === loop) this.phase = "done";
    } catch (error) {
      if (this.#loop === loop) this.#fail(error); // otherwise it was stopped, as it should
    }
    if (this.#loop === loop) this.#show();
  }

  /** What to do next: scores, then what the reader is at, then all else that the curves show. */
  #next(signal: AbortSignal): (() => Promise<void>) | undefined {
    const scorings: readonly Scoring[] = [{ method: this.method }, ...randoms];
    const unscored = scorings.find((each) => !this.#latest.has(nameOf(each)));
    if (unscored) return () => this.#score(unscored, signal);

    const lacks = (name: string, count: number) => !this.#latest.get(name)!.points.has(count);
    const measure = (count: number) => {
      const name = scorings.map(nameOf).find((each) => lacks(each, count));
      return name && (() => this.#measure(name, count, signal));
    };
    const here = measure(this.removed);
    if (here) return here;

    const unwritten = scorings.slice(0, 2).find((each) => {
      return this.#latestTexts.get(nameOf(each))?.removed !== this.removed;
    });
    if (unwritten) return () => this.#write(nameOf(unwritten), this.removed, signal);

    for (let count = 0; count <= this.count; ++count) {
      const job = measure(count);
      if (job) return job;
    }
    return undefined;
  }

  async #score(scoring: Scoring, signal: AbortSignal): Promise<void> {
    this.scoring = 0;
    const scores = await this.#pruner!.score(scoring, signal, (part) => {
      if (!signal.aborted) this.scoring = part;
    });
    this.scoring = null;
    this.#put(() => this.#latest.set(nameOf(scoring), { ...scores, points: new Map() }));
  }

  async #measure(name: string, count: number, signal: AbortSignal): Promise<void> {
    const removal = this.#latest.get(name)!;
    const measured = await this.#pruner!.measure(removal, count, signal);
    const points = new Map(removal.points).set(count, measured);
    this.#put(() => this.#latest.set(name, { ...removal, points }));
  }

  async #write(name: string, removed: number, signal: AbortSignal): Promise<void> {
    const put = (text: string) => this.#put(() => this.#latestTexts.set(name, { removed, text }));
    put("");
    await this.#pruner!.write(this.#latest.get(name)!.order.slice(0, removed), signal, put);
  }

  #put(change: () => void): void {
    change();
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #show(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#shown = new Map(this.#latest);
    this.#texts = new Map(this.#latestTexts);
  }

  #fail(error: unknown): void {
    this.#stop();
    this.phase = "failed";
    this.error = error instanceof Error ? error.message : String(error);
  }
}
