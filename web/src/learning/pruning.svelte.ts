/** Pruning: which heads go first, how many are gone, and what has been measured so far. No DOM but the animation frame. */
import { cachedPruning } from "./cached_pruning";
import { METHODS, Pruner, type Costs, type Method, type Removal, type Scoring } from "./pruner";
import { hereOf, nameOf, RANDOM_ORDERS } from "./prunings";

const randoms: readonly Scoring[] = Array.from({ length: RANDOM_ORDERS }, (_, seed) => ({ method: "random", seed }));

/** `done`: all that there is to measure for the chosen method and number of heads has been. */
type Phase = "idle" | "loading" | "running" | "paused" | "done" | "failed";

/** What is known of one order of removal with the number of heads that the reader is at. */
export interface Here {
  readonly cost?: Costs;
  readonly text?: string;
}

/** What has been measured, by orders of removal. */
export interface Known {
  readonly removals: ReadonlyMap<string, Removal>;
  readonly heres: ReadonlyMap<string, Here>;
}

export class Pruning {
  method = $state<Method>(METHODS[0]);
  removed = $state(cachedPruning.removed);

  phase = $state<Phase>("idle");
  error = $state<string | null>(null);
  download = $state.raw<{ loadedBytes: number; totalBytes: number } | null>(null);
  /** Of all orders of removal, 0 … 1. */
  progress = $state(0);
  /** Heads of each layer. */
  readonly heads: readonly number[] = cachedPruning.heads;
  readonly count: number = this.heads.reduce((sum, heads) => sum + heads, 0);
  #shown = $state.raw<Known>({ removals: new Map(), heres: new Map() });

  /** Before anything is measured here: what came with the page. */
  readonly #known: Known = $derived(this.phase === "idle" ? cachedPruning : this.#shown);
  readonly chosen: Removal | undefined = $derived(this.#known.removals.get(this.method));
  readonly random: readonly Removal[] = $derived(
    randoms.flatMap((each) => this.#known.removals.get(nameOf(each)) ?? []),
  );
  readonly here: Here = $derived(this.#known.heres.get(hereOf(this.method, this.removed)) ?? {});
  /** Of the first random order. */
  readonly randomHere: Here = $derived(this.#known.heres.get(hereOf(nameOf(randoms[0]), this.removed)) ?? {});

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
    this.removed = cachedPruning.removed;
    this.progress = 0;
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

  /** What to do next: the chosen method's order and a random one; what the reader is at; then the other random orders. */
  #next(signal: AbortSignal): (() => Promise<void>) | undefined {
    const { removed } = this;
    const removal = (scoring: Scoring) =>
      this.#latestRemovals.has(nameOf(scoring)) ? undefined : () => this.#remove(scoring, signal);
    const here = (name: string, what: keyof Here) => {
      if (this.#latestHeres.get(hereOf(name, removed))?.[what] !== undefined) return undefined;
      return () => (what === "cost" ? this.#cost(name, removed, signal) : this.#write(name, removed, signal));
    };
    const both: readonly Scoring[] = [{ method: this.method }, randoms[0]];
    for (const scoring of both) if (removal(scoring)) return removal(scoring);
    const [chosen, random] = both.map(nameOf);
    const next = here(chosen, "cost") ?? here(chosen, "text") ?? here(random, "text");
    if (next) return next;
    for (const scoring of randoms) if (removal(scoring)) return removal(scoring);
    return undefined;
  }

  async #remove(scoring: Scoring, signal: AbortSignal): Promise<void> {
    const orders: readonly Scoring[] = [{ method: this.method }, ...randoms];
    const known = orders.filter((order) => this.#latestRemovals.has(nameOf(order))).length;
    const removal = await this.#pruner!.remove(scoring, signal, (part) => {
      if (!signal.aborted) this.progress = (known + part) / orders.length;
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
    const key = hereOf(name, removed);
    this.#latestHeres.set(key, { ...this.#latestHeres.get(key), ...news });
    this.#soon();
  }

  #soon(): void {
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #show(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#shown = { removals: new Map(this.#latestRemovals), heres: new Map(this.#latestHeres) };
  }

  #fail(error: unknown): void {
    this.#work?.abort();
    this.phase = "failed";
    this.error = error instanceof Error ? error.message : String(error);
  }
}
