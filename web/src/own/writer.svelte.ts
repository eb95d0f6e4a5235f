/** A causal model writes: one token after the other, each chosen from the probabilities that the page shows. No DOM. */
import { tick } from "svelte";
import { labelOf } from "../heads/labels";
import { softmax } from "../heads/statistics";
import { randomNumbers } from "../learning/random.mjs";
import { percent } from "../numbers";
import type { Opened } from "./opened";
import type { OwnSession } from "./own_session.svelte";

interface Choice {
  readonly id: number;
  readonly piece: string;
  readonly probability: number;
}

/** How many of the likeliest tokens are shown. */
const SHOWN = 8;

export class Writer {
  temperature = $state(0.7);
  count = $state(40);
  writing = $state(false);
  /** What was written since the reader's own text. */
  written = $state.raw<readonly Choice[]>([]);
  #random = randomNumbers(1);
  #end = $state.raw<{ readonly of: string; readonly said: string } | null>(null);

  constructor(private readonly session: OwnSession) {}

  /** Why the text on screen does not go on, if that is known. */
  readonly ended: string | null = $derived.by(() => (this.#end?.of === this.session.side.text ? this.#end.said : null));

  /** Probabilities of the next token, at temperature 1: the likeliest first. */
  readonly choices: readonly Choice[] = $derived.by(() => {
    const { shown } = this.session.side;
    const model = this.session.opened;
    if (!shown?.logits || !model) return [];
    const probabilities = softmax(shown.logits).weights;
    const ids = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    return ids.slice(0, SHOWN).map((id) => this.#choice(model, id, probabilities));
  });

  /** Writes until it is stopped, has written `count` tokens, has chosen a token that ends texts, or the model or page can read no more. */
  async write(): Promise<void> {
    this.writing = true;
    try {
      for (let n = 0; n < this.count && this.writing; ++n) if (!(await this.append(this.#draw()))) break;
    } finally {
      this.writing = false;
    }
  }

  stop(): void {
    this.writing = false;
  }

  /** Appends a token to the text, and waits until its heads are on screen. */
  async append(id: number | undefined): Promise<boolean> {
    const { session } = this;
    const { side, opened: model } = session;
    if (id === undefined || !model || !side.shown) return false;
    const probabilities = softmax(side.shown.logits!).weights;
    const choice = this.#choice(model, id, probabilities);
    if (model.stopTokens.includes(id))
      return this.#endAt(`It stopped: ${labelOf(choice)} (${percent(choice.probability)}) ends the model's texts.`);
    if (side.tokens.length >= model.maxTokens)
      return this.#endAt(`It stopped: the page reads at most ${model.maxTokens} tokens of this model.`);
    const tokens = [...side.tokens, { id, piece: model.reader.pieceOf(id) }];
    const text = model.reader.decode(tokens.map((token) => token.id));
    const goesOn = side.written?.text === side.text;
    this.written = [...(goesOn ? this.written : []), choice];
    side.written = { text, tokens };
    side.text = text;
    side.move({ query: tokens.length - 2, key: tokens.length - 2 });
    await tick(); // the session follows
    await session.settled();
    return side.tokens.length === tokens.length && session.phase === "live";
  }

  #endAt(said: string): false {
    this.#end = { of: this.session.side.text, said };
    return false;
  }

  #draw(): number | undefined {
    const logits = this.session.side.shown?.logits;
    if (!logits) return undefined;
    if (this.temperature === 0) return logits.reduce((best, value, id) => (value > logits[best] ? id : best), 0);
    const probabilities = softmax(logits, this.temperature).weights;
    let left = this.#random(2 ** 24) / 2 ** 24;
    return Math.max(
      0,
      probabilities.findIndex((probability) => (left -= probability) < 0),
    );
  }

  #choice(model: Opened, id: number, probabilities: Float64Array): Choice {
    return { id, piece: model.reader.pieceOf(id), probability: probabilities[id] };
  }
}
