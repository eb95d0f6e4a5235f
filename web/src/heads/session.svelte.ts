/** What the page shows of a model and what it is doing: the state that the components share. No DOM. */
import type { Info } from "headwise";
import { untrack } from "svelte";
import { Effects } from "./effects.svelte";
import { Side, type Shown } from "./side.svelte";
import { outputChange } from "./statistics";
import { FEW, openGates, sameHead, type HeadPlace, type Input, type Look, type Subject } from "./subject";

/**
 * `waiting`: a cached run, or nothing, is on screen, and the model is on its way; `partial`: its first layers are live; `failed`: it will
 * not come.
 */
type Phase = "waiting" | "partial" | "live" | "failed";

export interface Progress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export class Session {
  causal = $state(false);
  gates = $state<number[][]>([]);
  /** The text, and one to compare it with. */
  readonly sides = [new Side(), new Side()] as const;
  readonly effects = new Effects();

  phase = $state<Phase>("waiting");
  progress = $state.raw<Progress | null>(null);
  info = $state.raw<Info | null>(null);
  error = $state<string | null>(null);
  /** How many live runs have reached the screen. */
  runs = $state(0);
  /** True from a change of the input until its result is on screen. */
  busy = $state(false);

  pinned = $state.raw<HeadPlace | null>(null);
  hovered = $state.raw<HeadPlace | null>(null);
  #last = $state.raw<HeadPlace>({ layer: 0, head: 0 });

  /** The text at first. */
  defaultText = "";

  subject = $state.raw<Subject | null>(null);
  #current: AbortController | undefined;
  #looking: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();

  readonly shown: HeadPlace = $derived(this.hovered ?? this.pinned ?? this.#last);
  readonly side: Side = $derived(this.sides[0]);
  /** The sides that have something to show. */
  readonly present: readonly Side[] = $derived(this.sides.filter(({ shown }) => shown !== null));
  /** All heads. */
  readonly places: readonly HeadPlace[] = $derived(
    this.gates.flatMap((of, layer) => of.map((_, head) => ({ layer, head }))),
  );
  readonly allOpen: boolean = $derived(this.gates.every((of) => of.every((gate) => gate !== 0)));
  /** Many heads are shown as maps alone. */
  readonly many: boolean = $derived(this.places.length > FEW);
  /** The layer of the shown head, inside. */
  readonly look: Look | null = $derived(this.side.look?.layer === this.shown.layer ? this.side.look : null);

  /** @param id begins the ids of its elements */
  constructor(
    readonly id: string,
    heads: readonly number[],
    first: HeadPlace,
  ) {
    this.gates = openGates(heads);
    this.#last = first;
  }

  /** Number of the head's hue: each of a few heads has its own, many share one. */
  hue({ layer, head }: HeadPlace): number {
    return this.gates[layer].length > 4 ? 0 : head;
  }

  preview(head: HeadPlace | null): void {
    if (head === null && this.hovered !== null) this.#last = this.hovered;
    this.hovered = head;
  }

  pin(head: HeadPlace): void {
    this.pinned = this.#last = head;
  }

  togglePin(head: HeadPlace): void {
    const same = this.pinned !== null && sameHead(this.pinned, head);
    this.pin(head);
    if (same) this.pinned = null;
  }

  /** Frees the innermost pin: a cell, then the head. */
  free(): void {
    const side = this.sides.find(({ pinned }) => pinned !== null);
    if (side) return side.free();
    if (this.pinned) this.#last = this.pinned;
    this.pinned = null;
  }

  isOpen({ layer, head }: HeadPlace): boolean {
    return this.gates[layer][head] !== 0;
  }

  setGate({ layer, head }: HeadPlace, on: boolean): void {
    this.gates = this.gates.map((of, l) => of.map((gate, h) => (l === layer && h === head ? Number(on) : gate)));
  }

  openAll(): void {
    this.gates = openGates(this.gates.map(({ length }) => length));
  }

  /** A model that is ready: from now on runs are live. */
  use(subject: Subject): void {
    if (subject !== this.subject && subject.heads.join() !== this.gates.map(({ length }) => length).join()) {
      this.gates = openGates(subject.heads);
      this.#last = { layer: 0, head: 0 };
      this.pinned = null;
    }
    this.subject = subject;
  }

  /** Runs after every change of an input, and looks where the reader does. To be called where effects can be made. */
  follow(): void {
    $effect(() => {
      void [...this.sides.map(({ text, pixels }) => [text, pixels]), this.causal, this.gates];
      untrack(() => this.run());
    });
    $effect(() => {
      const { layer } = this.shown;
      if (this.subject && !this.busy && this.look === null)
        this.lookInside().catch((error: unknown) => this.fail(error));
    });
  }

  /** Computes what the inputs say now; an older run that is still under way is dropped. */
  run(): Promise<void> {
    return (this.#running = this.#run());
  }

  /** When the latest run has ended, or one that has come meanwhile. */
  async settled(): Promise<void> {
    for (let running; running !== this.#running;) await (running = this.#running);
  }

  async #run(): Promise<void> {
    const { subject } = this;
    if (!subject || this.side.empty || (subject.pictures && !this.side.pixels)) return;
    this.#current?.abort();
    const { signal } = (this.#current = new AbortController());
    this.busy = true;
    try {
      const results = [];
      for (const side of this.sides) results.push(await this.#result(subject, side, signal));
      if (signal.aborted) return;
      for (const [i, side] of this.sides.entries()) {
        const result = results[i];
        if (result) side.show(result);
        else if (i === 1) side.clear(); // the first keeps the last result
      }
      this.phase = this.side.shown!.live < subject.heads.length ? "partial" : "live";
      this.error = null;
      await this.lookInside(signal);
      if (signal.aborted) return;
      this.runs += 1;
      this.busy = false;
      await this.effects.measure(subject, this.sides, signal);
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  async #result(subject: Subject, side: Side, signal: AbortSignal): Promise<Shown | undefined> {
    const { text, pixels, written } = side;
    const tokens = written?.text === text ? written.tokens : subject.tokenize(text);
    if (tokens.length === 0) return undefined;
    const gates = this.gates.map((of) => [...of]);
    const input: Input = { tokens, gates, causal: this.causal || subject.causal, pixels };
    const start = performance.now();
    const run = await subject.run(input, signal);
    const milliseconds = performance.now() - start;
    const all = this.allOpen ? run : await subject.run({ ...input, gates: openGates(subject.heads) }, signal);
    const change = run.hidden && all.hidden && outputChange(all.hidden, run.hidden);
    const live = run.weights.length;
    const result: Shown = { ...input, ...run, text, milliseconds, live, change };
    // Until the last layers are there, those of the cached run of the same text stay.
    const cached = side.shown?.milliseconds === null && side.shown.text === text && this.allOpen && !input.causal;
    if (!cached) return result;
    const rest = <T>(own: readonly T[], of: readonly T[]) => [...own, ...of.slice(live)];
    const { weights, statistics, change: kept } = side.shown!;
    return {
      ...result,
      change: change ?? kept,
      weights: rest(run.weights, weights),
      statistics: rest(run.statistics, statistics),
    };
  }

  /** Looks inside the layer of the shown head. */
  async lookInside(outer?: AbortSignal): Promise<void> {
    const { subject } = this;
    const { layer } = this.shown;
    this.#looking?.abort();
    const looking = (this.#looking = new AbortController());
    const { signal } = looking;
    outer?.addEventListener("abort", () => looking.abort());
    for (const side of this.present) {
      if (!subject || layer >= side.shown!.live) continue;
      try {
        const look = await subject.look(side.shown!, layer, signal);
        if (signal.aborted) return;
        side.look = look;
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
    }
  }

  /** Drops what is under way. */
  stop(): void {
    this.#current?.abort();
    this.#looking?.abort();
  }

  fail(error: unknown): void {
    this.busy = false;
    this.phase = "failed";
    this.error = error instanceof Error ? error.message : String(error);
  }
}
