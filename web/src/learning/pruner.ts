/**
 * Owns the small text model: scores its heads, and measures it without some of them. All numbers are the library's. No DOM.
 */
import {
  readSafetensors,
  type Batch,
  type HeadImportance,
  type WorkerHeadwise,
  type WorkerTransformer,
} from "headwise";
import { load } from "headwise/worker";
import { download } from "../model/download";
import { characters, evenBatches } from "./characters.mjs";

/** The two files that `npm run experiments` makes: the model with its vocabulary, and text that it was not trained on. */
const FILES = ["small-text.safetensors", "validation.txt"];
/** What loss and importance are measured on: 16 rows of 128 characters. */
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

/** The heads' importance [layer][head], and the order in which they go by it, all of them. */
export interface Scores {
  readonly importance: HeadImportance;
  readonly order: readonly Place[];
}

/** The model without some heads. */
export interface Measured {
  readonly loss: number;
  readonly parameters: number;
  /** Of its file, F32. */
  readonly bytes: number;
  /** Of a forward pass. */
  readonly milliseconds: number;
}

export class Pruner {
  private constructor(
    private readonly hw: WorkerHeadwise,
    private readonly model: WorkerTransformer,
    private readonly batches: readonly Batch[],
    private readonly vocabulary: ReturnType<typeof characters>,
  ) {}

  static async start(base: URL, onProgress: (loadedBytes: number, totalBytes: number) => void): Promise<Pruner> {
    const [file, text] = await download(
      FILES.map((name) => new URL(name, base).href),
      onProgress,
    );
    const vocabulary = characters(readSafetensors(file).metadata.vocabulary);
    const batches = evenBatches(vocabulary.encode(new TextDecoder().decode(text)), SIZES);
    const hw = await load();
    try {
      return new Pruner(hw, await hw.loadTransformer(file), batches, vocabulary);
    } catch (error) {
      await hw.dispose();
      throw error;
    }
  }

  /** Heads per layer. */
  get heads(): readonly number[] {
    return this.model.config.heads.map((layer) => layer.length);
  }

  async score(scoring: Scoring, signal: AbortSignal, onProgress: (part: number) => void): Promise<Scores> {
    const importance = await this.hw.headImportance(this.model, this.batches, {
      ...scoring,
      signal,
      onProgress: ({ done, total }) => onProgress(done / total),
    });
    const all = this.heads.reduce((sum, heads) => sum + heads, 0);
    const { model, removed } = await this.#prune(importance, all, signal);
    await model.dispose();
    return { importance, order: removed };
  }

  /** The model without its `count` least important heads. */
  async measure({ importance }: Scores, count: number, signal: AbortSignal): Promise<Measured> {
    const { model, after } = await this.#prune(importance, count, signal, this.batches);
    await model.dispose();
    return { ...after, loss: after.loss! };
  }

  /** What the model writes without these heads, a piece at a time. */
  async write(without: readonly Place[], signal: AbortSignal, onText: (text: string) => void): Promise<void> {
    const heads: Record<number, number[]> = {};
    for (const { layer, head } of without) (heads[layer] ??= []).push(head);
    const smaller = await this.model.prune(heads, { signal });
    try {
      const prompt = this.vocabulary.encode(PROMPT);
      let text = "";
      for await (const token of smaller.generate(prompt, { ...WRITES, signal })) {
        text += this.vocabulary.decode([token]);
        onText(text);
      }
    } finally {
      await smaller.dispose();
    }
  }

  #prune(importance: HeadImportance, count: number, signal: AbortSignal, batches?: readonly Batch[]) {
    const options = { count, keepOnePerLayer: false, signal, ...(batches && { batches }) };
    return this.hw.pruneByImportance(this.model, importance, options);
  }

  dispose(): Promise<void> {
    return this.hw.dispose();
  }
}
