/** Pruning: which heads go first, how many are gone, and what has been measured so far. No DOM but the animation frame. */
import { METHODS, Pruner, type Cost, type Method, type Removal, type Scoring } from "./pruner";

export const RANDOM_ORDERS = 3;
const randoms: readonly Scoring[] = Array.from({ length: RANDOM_ORDERS }, (_, seed) => ({ method: "random", seed }));
const nameOf = ({ method, seed }: Scoring) => (seed === undefined ? method : `${method} ${seed}`);

/** `done`: all that there is to measure for the chosen method and number of heads has been. */
export type Phase = "idle" | "loading" | "running" | "paused" | "done" | "failed";

/** What is known of one order of removal with the number of heads that the reader is at. */
export interface Here {
  readonly cost?: Cost;
  readonly text?: string;
}

export class Pruning {
  method = $state<Method>(METHODS[0]);
  removed = $state(0);

  phase = $state<Phase>("idle");
  error = $state<string | null>(null);
  download = $state.raw<{ loadedBytes: number; totalBytes: number } | null>(null);
  /** Of the removal under way, 0 … 1. */
  progress = $state(0);
  /** Heads of each layer; empty before the model is there. */
  heads = $state.raw<readonly number[]>([]);
  #removals = $state.raw<ReadonlyMap<string, Removal>>(new Map());
  #heres = $state.raw<ReadonlyMap<string, Here>>(new Map());

  readonly count: number = $derived(this.heads.reduce((sum, heads) => sum + heads, 0));
  readonly chosen: Removal | undefined = $derived(this.#removals.get(this.method));
  readonly random: readonly Removal[] = $derived(randoms.flatMap((each) => this.#removals.get(nameOf(each)) ?? []));
  readonly here: Here = $derived(this.#heres.get(`${this.method}, ${this.removed}`) ?? {});
  /** Of the first random order. */
  readonly randomHere: Here = $derived(this.#heres.get(`${nameOf(randoms[0])}, ${this.removed}`) ?? {});

  #pruner: Pruner | undefined;
  /** As it comes from the worker; put on screen once per animation frame. */
  readonly #latestRemovals = new Map<string, Removal>();
  readonly #latestHeres = new Map<string, Here>();
  /** Aborts the work under way. */
  #work: AbortController | undefined;
  #frame = 0;

  async start(base: URL): Promise<void> {
    if (this.phase === "failed") this.reset();
    if (this.phase === "paused") return this.#run();
    if (this.phase !== "idle") return;
    this.phase = "loading";
    const work = (this.#work = new AbortController());
    try {
      const pruner = await Pruner.start(base, (loadedBytes, totalBytes) => {
        if (!work.signal.aborted) this.download = { loadedBytes, totalBytes };
      });
      if (work.signal.aborted) return void pruner.dispose();
      this.#pruner = pruner;
      this.heads = pruner.heads;
      this.removed = Math.round(this.count / 4);
      await this.#run();
    } catch (error) {
      if (!work.signal.aborted) this.#fail(error);
    }
  }

  pause(): void {
    if (this.phase !== "running") return;
    this.#work?.abort();
    this.phase = "paused";
  }

  reset(): void {
    this.#work?.abort();
    void this.#pruner?.dispose();
    this.#pruner = undefined;
    this.#latestRemovals.clear();
    this.#latestHeres.clear();
    this.phase = "idle";
    this.error = this.download = null;
    this.heads = [];
    this.removed = this.progress = 0;
    this.#show();
  }

  setMethod(method: Method): void {
    this.method = method;
    if (this.phase === "running") this.#work?.abort(); // another method's scores may take long
    if (this.phase === "running" || this.phase === "done") void this.#run();
  }

  remove(count: number): void {
    this.removed = count;
    if (this.phase === "done") void this.#run();
  }

  async #run(): Promise<void> {
    const work = (this.#work = new AbortController());
    this.phase = "running";
    try {
      for (let job = this.#next(work.signal); job; job = this.#next(work.signal)) {
        await job();
        if (work.signal.aborted) return;
      }
      this.#show();
      this.phase = "done";
    } catch (error) {
      if (!work.signal.aborted) this.#fail(error);
    }
  }

  /** What to do next: orders of removal, the chosen method's first; then what the reader is at. */
  #next(signal: AbortSignal): (() => Promise<void>) | undefined {
    const scorings: readonly Scoring[] = [{ method: this.method }, ...randoms];
    for (const scoring of scorings) {
      if (!this.#latestRemovals.has(nameOf(scoring))) return () => this.#remove(scoring, signal);
    }
    const both = scorings.slice(0, 2).map(nameOf);
    const { removed } = this;
    for (const what of ["cost", "text"] as const) {
      for (const name of both) {
        if (this.#latestHeres.get(`${name}, ${removed}`)?.[what] === undefined) {
          return () => (what === "cost" ? this.#cost(name, removed, signal) : this.#write(name, removed, signal));
        }
      }
    }
    return undefined;
  }

  async #remove(scoring: Scoring, signal: AbortSignal): Promise<void> {
    this.progress = 0;
    const removal = await this.#pruner!.remove(scoring, signal, (part) => {
      if (!signal.aborted) this.progress = part;
    });
    this.#latestRemovals.set(nameOf(scoring), removal);
    this.#soon();
  }

  async #cost(name: string, removed: number, signal: AbortSignal): Promise<void> {
    this.#put(name, removed, { cost: await this.#pruner!.cost(this.#latestRemovals.get(name)!, removed, signal) });
  }

  async #write(name: string, removed: number, signal: AbortSignal): Promise<void> {
    const removal = this.#latestRemovals.get(name)!;
    await this.#pruner!.write(removal, removed, signal, (text) => this.#put(name, removed, { text }));
  }

  #put(name: string, removed: number, news: Here): void {
    const key = `${name}, ${removed}`;
    this.#latestHeres.set(key, { ...this.#latestHeres.get(key), ...news });
    this.#soon();
  }

  #soon(): void {
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #show(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#removals = new Map(this.#latestRemovals);
    this.#heres = new Map(this.#latestHeres);
  }

  #fail(error: unknown): void {
    this.#work?.abort();
    this.phase = "failed";
    this.error = error instanceof Error ? error.message : String(error);
  }
}
