/** A smaller model made of the open one: heads are scored on some inputs, and what it loses is measured on others. No DOM. */
import type { Batch, HeadImportance, ImportanceMethod, ModelCost, Tensor } from "headwise";
import { openGates, type HeadPlace, type Input } from "../heads/subject";
import { saveFile } from "../save_file";
import { leaveOneOut, likeness } from "./likeness";
import type { Opened } from "./opened";
import type { OwnSession } from "./own_session.svelte";
import { Work, type WorkOptions } from "./work.svelte";

/** Of models that predict the next token, of others that read text, and of those that read pictures. */
const METHODS: Readonly<Record<"writer" | "reader" | "viewer", readonly ImportanceMethod[]>> = {
  writer: ["gradient", "gradient-entropy", "leave-one-out", "norm", "confidence", "random"],
  reader: ["leave-one-out", "norm", "confidence", "random"],
  viewer: ["leave-one-out", "random"],
};

/** Text to judge on, until the reader gives another: the beginning of Moby Dick. */
const JUDGED = `Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, and nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the world.
It is a way I have of driving off the spleen and regulating the circulation.`;

const OTHER_PICTURE = "Choose another picture to judge on: what is lost is measured where heads were not scored.";

/** What was measured, and of what. */
interface Measured<Result> {
  readonly result: Result;
  readonly of: readonly unknown[];
}

export interface Smaller {
  readonly model: Opened;
  readonly removed: readonly HeadPlace[];
  readonly before: ModelCost;
  readonly after: ModelCost;
  /** Of models without a loss: mean cosine of their outputs, 1 is the same. */
  readonly likeness?: number;
}

const same = (a: readonly unknown[], b: readonly unknown[]) => a.every((each, i) => Object.is(each, b[i]));

export class OwnPruning extends Work<"scoring" | "removing" | "saving"> {
  method = $state<ImportanceMethod>("leave-one-out");
  /** Percentage of the heads that goes. */
  share = $state(25);
  judgedText = $state(JUDGED);
  judgedPixels = $state.raw<Tensor | undefined>();
  #scoredText = $state<string | null>(null);
  #scored = $state.raw<Measured<HeadImportance> | null>(null);
  #made = $state.raw<Measured<Smaller> | null>(null);
  /** To be freed: the smaller model, until the page has it. Not state, of which an effect's end sees what was before. */
  #owned: Opened | undefined;
  readonly methods: readonly ImportanceMethod[];

  constructor(
    private readonly session: OwnSession,
    private readonly opened: Opened,
  ) {
    super();
    const kind = opened.grid ? "viewer" : this.hasLoss ? "writer" : "reader";
    this.methods = METHODS[kind];
    this.method = this.methods[0];
  }

  /** Of tokens that follow. */
  get hasLoss(): boolean {
    return this.opened.predicts && this.opened.causal;
  }

  /** At first the text on the page. */
  get scoredText(): string {
    return this.#scoredText ?? this.session.side.text;
  }
  set scoredText(text: string) {
    this.#scoredText = text;
  }

  readonly #of: readonly unknown[] = $derived.by(() => [this.method, this.scoredText, this.session.side.pixels]);
  readonly importance: HeadImportance | null = $derived(
    this.#scored && same(this.#scored.of, this.#of) ? this.#scored.result : null,
  );
  /** In the order in which they go: the least important first, as in the library; each layer keeps its last head. */
  readonly order: readonly HeadPlace[] = $derived.by(() => {
    const { importance } = this;
    if (!importance) return [];
    const left = importance.map(({ length }) => length);
    return this.session.places
      .toSorted((a, b) => importance[a.layer][a.head] - importance[b.layer][b.head])
      .filter(({ layer }) => left[layer]-- > 1);
  });
  readonly count: number = $derived.by(() =>
    Math.min(Math.floor((this.share / 100) * this.session.places.length), this.order.length),
  );
  readonly going: readonly HeadPlace[] = $derived(this.order.slice(0, this.count));
  readonly #madeOf: readonly unknown[] = $derived([this.importance, this.count, this.judgedText, this.judgedPixels]);
  readonly smaller: Smaller | null = $derived(
    this.#made && same(this.#made.of, this.#madeOf) ? this.#made.result : null,
  );

  /** Scores all heads. */
  score(): Promise<void> {
    return this.begin("scoring", async (options) => {
      const of = this.#of;
      const inputs = this.#inputs(this.scoredText, this.session.side.pixels);
      const result = await this.#onCopy(options, (copy) => this.#importanceOf(copy, inputs, options));
      this.#scored = { result, of };
    });
  }

  /** Makes the model without the heads that go, and measures both. */
  remove(): Promise<void> {
    return this.begin("removing", async (options) => {
      const { importance, count, hasLoss } = this;
      if (!importance) return;
      const of = this.#madeOf;
      const inputs = this.#inputs(this.judgedText, this.judgedPixels);
      this.#refuseCommon();
      const result = await this.#onCopy(options, async (copy) => {
        const batches = copy.grid ? undefined : this.#batches(inputs);
        const settings = { count, batches, ...options };
        const { model, ...measured } = await copy.hw.pruneByImportance(copy.model, importance, settings);
        try {
          const smaller = await copy.like(model, `${copy.title}, ${count} heads fewer`);
          const alike = hasLoss ? {} : { likeness: await likeness(copy, smaller, inputs, options.signal) };
          options.signal.throwIfAborted();
          return { model: smaller, ...measured, ...alike };
        } catch (error) {
          void model.dispose();
          throw error;
        }
      });
      this.#drop();
      this.#owned = result.model;
      this.#made = { result, of };
    });
  }

  /** The smaller model becomes the page's. */
  use(): Promise<void> {
    const { model } = this.smaller!;
    this.#owned = undefined;
    return this.session.exchangeFor(model);
  }

  /** The model that there is to keep: the smaller one, or the open one if heads of it are gone. */
  readonly kept: Opened | null = $derived.by(() => this.smaller?.model ?? (this.opened.pruned ? this.opened : null));

  save(name: string): Promise<void> {
    return this.begin("saving", async ({ signal }) => {
      const files = await this.kept!.save(signal);
      saveFile(name, new Blob([files[name]]));
    });
  }

  /** Stops, and frees what it has made. */
  dispose(): void {
    this.stop();
    this.#drop();
  }

  #drop(): void {
    void this.#owned?.model.dispose();
    this.#owned = undefined;
    this.#made = null;
  }

  async #onCopy<Result>({ signal }: WorkOptions, work: (copy: Opened) => Promise<Result>): Promise<Result> {
    const copy = await this.opened.copy(signal);
    try {
      return await work(copy);
    } finally {
      void copy.model.dispose();
    }
  }

  #importanceOf(copy: Opened, inputs: readonly Input[], options: WorkOptions): Promise<HeadImportance> {
    const { method, hasLoss } = this;
    if (method === "leave-one-out" && !hasLoss) return leaveOneOut(copy, inputs, options);
    const batches = copy.grid ? [] : this.#batches(inputs);
    return copy.hw.headImportance(copy.model, batches, { method, ...options });
  }

  /** A picture, or a text for each line. */
  #inputs(text: string, pixels: Tensor | undefined): Input[] {
    const { opened } = this;
    const gates = openGates(opened.heads);
    const { causal } = opened;
    if (opened.grid) {
      if (!pixels) throw new Error(OTHER_PICTURE);
      return [{ tokens: [], pixels, gates, causal }];
    }
    const least = this.hasLoss ? 2 : 1;
    const inputs = linesOf(text).map((line) => ({ tokens: opened.tokenize(line), gates, causal }));
    const long = inputs.filter(({ tokens }) => tokens.length >= least);
    if (long.length === 0) throw new Error(`No line has ${least === 1 ? "a token" : "two tokens"} of this model.`);
    return long;
  }

  /** Each token predicts the next; a model that predicts none has no targets. */
  #batches(inputs: readonly Input[]): Batch[] {
    return inputs.map(({ tokens }) => ({
      tokens: tokens.map(({ id }) => id),
      targets: tokens.map((_, i) => (this.hasLoss ? (tokens[i + 1]?.id ?? -1) : -1)),
    }));
  }

  #refuseCommon(): void {
    if (this.opened.grid) {
      const scored = this.session.side.pixels!.data;
      if (this.judgedPixels!.data.every((value, i) => value === scored[i])) throw new Error(OTHER_PICTURE);
      return;
    }
    const scored = new Set(linesOf(this.scoredText));
    const common = linesOf(this.judgedText).find((line) => scored.has(line));
    if (common !== undefined)
      throw new Error(`“${common}” is in both texts. What is lost is measured on text that heads were not scored on.`);
  }
}

const linesOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
