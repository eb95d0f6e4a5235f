/** Which head did it: the library's analyses of a model on the session's texts, as maps of layers × heads and as a table. No DOM. */
import type { HeadReport, LogitMetric, Tensor } from "headwise";
import { decimals } from "../numbers";
import type { Shown } from "../heads/side.svelte";
import type { Opened } from "./opened";
import type { OwnSession } from "./own_session.svelte";
import { Work, type WorkOptions } from "./work.svelte";

export const KINDS = {
  attribution: "What each head adds to the difference directly (text 1)",
  ablation: "The difference without each head, less that with all (text 1)",
  patching: "What each head of text 1 restores in text 2",
} as const;
export type Kind = keyof typeof KINDS;

export interface HeadMap {
  readonly kind: Kind;
  /** [N, H]; NaN where there is no head. */
  readonly map: Tensor;
  readonly note: string;
  readonly of: string;
}

export class Analyses extends Work<Kind | "report"> {
  answer = $state("");
  against = $state("");
  #maps = $state.raw<readonly HeadMap[]>([]);
  #report = $state.raw<{ readonly heads: HeadReport; readonly of: string } | null>(null);

  constructor(private readonly session: OwnSession) {
    super();
  }

  /** What the texts and gates on screen are: results are of one such, and are shown with it alone. */
  readonly of: string = $derived.by(() => {
    const { present } = this.session;
    return JSON.stringify(present.map(({ shown }) => [Array.from(idsOf(shown!)), shown!.gates]));
  });
  readonly maps: readonly HeadMap[] = $derived(this.#maps.filter(({ of }) => of === this.of));
  readonly report: HeadReport | null = $derived(this.#report?.of === this.of ? this.#report.heads : null);

  measure(kind: Kind): Promise<void> {
    return this.#work(kind, async (model, [one, other], options) => {
      const { of } = this;
      const metric = this.#metric(model);
      const result = await this.#map(model, kind, one, other, metric, options);
      this.#maps = [...this.maps.filter((each) => each.kind !== kind), { kind, ...result, of }];
    });
  }

  /** With the logit difference as pair, if both texts and an answer are there. */
  makeReport(): Promise<void> {
    return this.#work("report", async (model, [one, other], options) => {
      const { of } = this;
      const same = other && other.tokens.length === one.tokens.length && this.answer !== "" && model.predicts;
      const pair = same ? { clean: idsOf(one), corrupted: idsOf(other), ...this.#metric(model) } : undefined;
      const heads = await model.hw.headReport(model.model, [idsOf(one)], { ...options, top: 0, ...(pair && { pair }) });
      this.#report = { heads, of };
    });
  }

  async #map(model: Opened, kind: Kind, one: Shown, other: Shown | null, metric: LogitMetric, options: object) {
    const { hw } = model;
    const number = (value: number) => decimals(value, 3);
    if (kind === "attribution") {
      const parts = await hw.attributeLogits(model.model, idsOf(one), { ...metric, by: "head", ...options });
      return { map: parts.heads!, note: `The difference is ${number(parts.total)}.` };
    }
    if (kind === "ablation") {
      const { data, shape, baseline } = await hw.ablateHeads(model.model, [idsOf(one)], {
        ...{ with: "zero", metric },
        ...options,
      });
      const map = { data: data.map((value) => value - baseline), shape };
      return { map, note: `With all heads the difference is ${number(baseline)}.` };
    }
    if (!other || other.tokens.length !== one.tokens.length) {
      const counts = `${one.tokens.length} and ${other?.tokens.length ?? 0}`;
      throw new Error(`Patching needs a second text of as many tokens: these have ${counts}.`);
    }
    const at = { at: "heads", by: "head", metric } as const;
    const { data, shape, clean, corrupted } = await hw.patch(model.model, idsOf(one), idsOf(other), {
      ...at,
      ...options,
    });
    const map = { data: data.map((value) => value - corrupted), shape };
    return { map, note: `The difference is ${number(clean)} in text 1 and ${number(corrupted)} in text 2.` };
  }

  #metric(model: Opened): LogitMetric {
    const token = (text: string) => {
      const id = model.reader.tokenOf(text);
      if (id === undefined)
        throw new Error(`“${text}” is not one token of this model. Words often begin with a blank.`);
      return id;
    };
    return { answer: token(this.answer), ...(this.against !== "" && { against: token(this.against) }) };
  }

  async #work(
    what: Kind | "report",
    work: (model: Opened, texts: readonly [Shown, Shown | null], options: WorkOptions) => Promise<void>,
  ): Promise<void> {
    const { opened, sides } = this.session;
    const [one, other] = sides.map(({ shown }) => shown);
    if (opened && one) await this.begin(what, (options) => work(opened, [one, other], options));
  }
}

const idsOf = ({ tokens }: Shown): Int32Array => Int32Array.from(tokens, ({ id }) => id);
