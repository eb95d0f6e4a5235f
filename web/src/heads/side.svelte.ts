/** One text in a session: what there is to see of it, and the cell of the map that the reader is at. No DOM. */
import type { Tensor } from "headwise";
import type { Input, Look, Run, Token } from "./subject";

export interface Shown extends Input, Run {
  readonly text: string;
  /** Per token: 1 − cosine of the last hidden states with all heads on and with the present gates. */
  readonly change?: Float32Array;
  /** How many layers are not from the cached example. */
  readonly live: number;
  /** Of the run, the way to the worker and back included; null in the cached example. */
  readonly milliseconds: number | null;
}

export interface Cell {
  readonly query: number;
  readonly key: number;
}

/** The map that the reader is on, and the feature there if it is one of outputs. */
export interface Place {
  readonly kind: "weights" | "outputs" | "contributions";
  readonly feature: number;
}

export class Side {
  text = $state("");
  /** Instead of the text, for models of images. */
  pixels = $state.raw<Tensor | undefined>();
  /** The tokens of a text that a model has written: it may be split otherwise when it is read. */
  written = $state.raw<{ readonly text: string; readonly tokens: readonly Token[] } | null>(null);
  shown = $state.raw<Shown | null>(null);
  look = $state.raw<Look | null>(null);
  pinned = $state.raw<Cell | null>(null);
  place = $state.raw<Place>({ kind: "weights", feature: 0 });
  /** Where the reader is, or was last: it stays when the head changes, so that heads can be compared on one token. */
  #at = $state.raw<Cell>({ query: 0, key: 0 });
  #later: Cell | null = null;
  #hovered = $state.raw<Cell | null>(null);

  readonly tokens: readonly Token[] = $derived(this.shown?.tokens ?? []);
  readonly cell: Cell = $derived(this.#hovered ?? this.pinned ?? this.#at);
  /** Counts what the reader did by keyboard or click: only that is said aloud. */
  moves = $state(0);
  readonly empty: boolean = $derived(this.text.trim() === "");

  /** A new result. The reader's places follow their tokens. */
  show(shown: Shown): void {
    const place = follower(this.tokens, shown.tokens);
    const moved = (cell: Cell): Cell | null => {
      const [query, key] = [place(cell.query), place(cell.key)];
      return query === null || key === null ? null : { query, key };
    };
    const last = shown.tokens.length - 1;
    if (this.pinned) this.pinned = moved(this.pinned);
    this.#at = moved(this.#at) ?? { query: Math.min(this.#at.query, last), key: Math.min(this.#at.key, last) };
    this.#hovered = null;
    this.shown = shown;
    if (this.#later && shown.text === this.text) this.#pinNow();
    if (this.look && this.look.queries.shape[1] !== shown.tokens.length) this.look = null;
  }

  /** For another model. */
  reset(): void {
    this.clear();
    this.text = "";
    this.pixels = undefined;
    this.written = null;
    this.#at = { query: 0, key: 0 };
  }

  clear(): void {
    this.shown = null;
    this.look = null;
    this.pinned = null;
  }

  /** By pointer: a preview. `null`: away from the map. */
  hover(cell: Partial<Cell> | null): void {
    if (cell === null) {
      if (!this.pinned) this.#at = this.cell;
      this.#hovered = null;
    } else this.#hovered = { ...this.cell, ...cell };
  }

  /** By keyboard, or a program: the reader goes there; a pin goes along. */
  move(cell: Partial<Cell>): void {
    const next = { ...this.cell, ...cell };
    this.#hovered = null;
    this.#at = next;
    this.moves += 1;
    if (this.pinned) this.pinned = next;
  }

  /** Pins a cell, or frees it if it is the pinned one. */
  pin(cell: Partial<Cell>): void {
    const next = { ...this.cell, ...cell };
    const same = this.pinned?.query === next.query && this.pinned.key === next.key;
    this.#hovered = null;
    this.#at = next;
    this.moves += 1;
    this.pinned = same ? null : next;
  }

  /** Pins a cell of the text as it is now, as soon as that is on screen. */
  pinLater(cell: Cell | null): void {
    this.#later = cell;
    if (this.shown?.text === this.text) this.#pinNow();
    else this.pinned = null;
  }

  #pinNow(): void {
    const last = this.tokens.length - 1;
    const cell = this.#later;
    this.pinned = cell && { query: Math.min(cell.query, last), key: Math.min(cell.key, last) };
    this.#later = null;
  }

  free(): void {
    if (this.pinned) this.#at = this.pinned;
    this.pinned = null;
  }
}

/** Where each token of a text is in a changed text, if that keeps it: texts have a beginning and an end in common. */
function follower(before: readonly Token[], after: readonly Token[]): (token: number) => number | null {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start].id === after[start].id) ++start;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end].id === after[after.length - 1 - end].id) ++end;
  return (token) => {
    if (token < start) return token;
    if (token >= before.length - end && token < before.length) return token + after.length - before.length;
    return null;
  };
}
