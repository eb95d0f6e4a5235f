/** What the page is showing and what it is doing: the state that the components share. No DOM. */
import type { Info } from "headwise";
import { SINGLE } from "../colors";
import { Engine, type HeadView, type Progress, type RunResult } from "./engine";
import { example } from "./example";

/** `example`: the cached run is on screen, the library is on its way; `failed`: it will not come. */
export type Phase = "example" | "live" | "failed";

export interface Place {
  readonly kind: "weights" | "values" | "contributions";
  readonly feature: number;
}

export class Session {
  text = $state(example.text);
  causal = $state(example.causal);
  gates = $state<number[]>([...example.gates]);

  phase = $state<Phase>("example");
  progress = $state.raw<Progress | null>(null);
  info = $state.raw<Info | null>(null);
  error = $state<string | null>(null);
  /** The run on screen. */
  result = $state.raw<RunResult>(example);
  /** How many live runs have reached the screen. */
  runs = $state(0);
  /** True from a change of the input until its result is on screen. */
  busy = $state(false);

  locked = $state<number | null>(null);
  hovered = $state<number | null>(null);
  #lastShown = $state(0);
  /**
   * The cell that the reader is at. It stays when the head changes: heads can be compared on one token. At first,
   * in the example: "it" → "because". Kept within the tokens there are by `query` and `key`.
   */
  #query = $state(7);
  #key = $state(6);
  /** The map that the reader is on, and the feature there if it is one of outputs. */
  place = $state.raw<Place>({ kind: "weights", feature: 0 });

  #engine: Engine | undefined;

  readonly shown: number = $derived(this.hovered ?? this.locked ?? this.#lastShown);
  readonly query: number = $derived(Math.min(this.#query, this.result.tokens.length - 1));
  readonly key: number = $derived(Math.min(this.#key, this.result.tokens.length - 1));
  readonly empty: boolean = $derived(this.text.trim() === "");

  head(index: number): HeadView {
    return index === SINGLE ? this.result.single : this.result.heads[index];
  }

  preview(head: number | null): void {
    if (head === null && this.hovered !== null) this.#lastShown = this.hovered;
    this.hovered = head;
  }

  toggleLock(head: number): void {
    this.#lastShown = head;
    this.locked = this.locked === head ? null : head;
  }

  unlock(): void {
    if (this.locked !== null) this.#lastShown = this.locked;
    this.locked = null;
  }

  toQuery(query: number): void {
    this.#query = query;
  }

  toCell(query: number, key: number): void {
    this.#query = query;
    this.#key = key;
    this.place = { ...this.place, kind: "weights" };
  }

  toFeature(kind: "values" | "contributions", query: number, feature: number): void {
    this.#query = query;
    this.place = { kind, feature };
  }

  setGate(head: number, open: boolean): void {
    this.gates = this.gates.map((gate, h) => (h === head ? Number(open) : gate));
  }

  async start(modelBase: URL): Promise<void> {
    this.error = null;
    this.progress = null;
    this.phase = "example";
    try {
      await this.#engine?.dispose(); // a second start, after a failure
      this.#engine = undefined;
      this.#engine = await Engine.start(modelBase, (progress) => (this.progress = progress));
      this.info = this.#engine.info;
      await this.run();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Computes what the inputs say now; an older run that is still under way is dropped. */
  async run(): Promise<void> {
    if (!this.#engine || this.empty) return;
    this.busy = true;
    try {
      const result = await this.#engine.run({ text: this.text, causal: this.causal, gates: [...this.gates] });
      if (!result) return; // a newer run owns the screen
      this.result = result;
      this.phase = "live";
      this.error = null;
      this.runs += 1;
      this.busy = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.busy = false;
    this.phase = "failed";
    this.error = error instanceof Error ? error.message : String(error);
  }
}
