/**
 * Owns the small text model: scores its heads, and measures it without some of them. All numbers are the library's. No DOM.
 */
import {
  readSafetensors,
  type Batch,
  type HeadImportance,
  type Progress,
  type WorkerHeadwise,
  type WorkerTransformer,
} from "headwise";
import { load } from "headwise/worker";
import { download } from "../download";
import { characters, evenBatches } from "./characters.mjs";

/** The two files that `npm run experiments` makes: the model with its vocabulary, and text that it was not trained on. */
const FILES = ["moby-dick.safetensors", "moby-dick-validation.txt"];
/** Heads are scored on one half of the text, and the loss is measured on the other: 16 rows of 128 characters each. */
const SIZES = { length: 128, count: 16, batch: 8 };
const WRITES = { maxTokens: 160, temperature: 0.7, seed: 1 };
export const PROMPT = "The whale ";

export const METHODS = ["gradient", "leave-one-out", "norm", "confidence"] as const;
export type Method = (typeof METHODS)[number];
export interface Scoring {
  readonly method: Method | "random";
  readonly seed?: number;
}

export interface Place {
  readonly layer: number;
  readonly head: number;
}

/** The heads' importance [layer][head], the order in which they go by it, all of them, and what that costs. */
export interface Removal {
  readonly importance: HeadImportance;
  readonly order: readonly Place[];
  /** Without the first 0, 1, 2, … heads of the order. */
  readonly losses: readonly number[];
}

/** Memory and time of a model. Without a time where the run came with the page: that was another machine's. */
export interface Cost {
  readonly bytes: number;
  readonly milliseconds?: number;
}

/** Of the model without some heads, beside the whole one, measured by turns. */
export interface Costs {
  readonly before: Cost;
  readonly after: Cost;
}

export class Pruner {
  private constructor(
    private readonly hw: WorkerHeadwise,
    private readonly model: WorkerTransformer,
    private readonly scoring: readonly Batch[],
    private readonly judging: readonly Batch[],
    private readonly vocabulary: ReturnType<typeof characters>,
  ) {}

  static async start(base: URL, onProgress: (loadedBytes: number, totalBytes: number) => void): Promise<Pruner> {
    const urls = FILES.map((name) => new URL(name, base).href);
    const [file, text] = await download(urls, onProgress);
    const vocabulary = characters(readSafetensors(file).metadata.vocabulary);
    const tokens = vocabulary.encode(new TextDecoder().decode(text));
    const middle = Math.floor(tokens.length / 2);
    const [scoring, judging] = [tokens.subarray(0, middle), tokens.subarray(middle)].map((half) =>
      evenBatches(half, SIZES),
    );
    const hw = await load();
    try {
      return new Pruner(hw, await hw.loadTransformer(file), scoring, judging, vocabulary);
    } catch (error) {
      await hw.dispose();
      throw error;
    }
  }

  /** Heads of each layer. */
  get heads(): readonly number[] {
    return this.model.config.heads.map((layer) => layer.length);
  }

  /** Scores all heads, and removes one after the other. `onProgress`: 0 … 1. */
  async remove(scoring: Scoring, signal: AbortSignal, onProgress: (part: number) => void): Promise<Removal> {
    const report =
      (from: number, to: number) =>
      ({ done, total }: Progress) =>
        onProgress(from + ((to - from) * done) / total);
    const { model, judging } = this;
    const options = { ...scoring, signal, onProgress: report(0, 0.5) };
    const importance = await this.hw.headImportance(model, this.scoring, options);
    const { model: smallest, ...result } = await this.hw.pruneByImportance(model, importance, {
      maxLossIncrease: Number.MAX_VALUE, // every head may go: one a step, the loss after each
      keepOnePerLayer: false,
      batches: judging,
      signal,
      onProgress: report(0.5, 1),
    });
    void smallest.dispose();
    const losses = [result.before.loss!, ...result.steps.map(({ loss }) => loss!)];
    return { importance, order: result.removed, losses };
  }

  /** Without the `count` least important heads. */
  async cost({ importance }: Removal, count: number, signal: AbortSignal): Promise<Costs> {
    const options = { count, keepOnePerLayer: false, signal };
    const { model, before, after } = await this.hw.pruneByImportance(this.model, importance, options);
    void model.dispose();
    return { before, after };
  }

  /** What the model writes without the `count` least important heads, a character more each time. */
  async write({ order }: Removal, count: number, signal: AbortSignal, onText: (text: string) => void): Promise<void> {
    const heads: Record<number, number[]> = {};
    for (const { layer, head } of order.slice(0, count)) (heads[layer] ??= []).push(head);
    const smaller = await this.model.prune(heads, { signal });
    try {
      let text = "";
      for await (const token of smaller.generate(this.vocabulary.encode(PROMPT), { ...WRITES, signal })) {
        text += this.vocabulary.decode([token]);
        onText(text);
      }
    } finally {
      void smaller.dispose();
    }
  }

  dispose(): Promise<void> {
    return this.hw.dispose();
  }
}
