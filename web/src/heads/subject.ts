/** A model that the page looks into: its heads on a text. No DOM. */
import type { HeadStatistics, Tensor } from "headwise";

/** One piece of the text. */
export interface Token {
  readonly id: number;
  /** "▁cat" begins a word. */
  readonly piece: string;
  /** Whether it stands for characters that the model does not know. */
  readonly unknown?: boolean;
}

export interface HeadPlace {
  readonly layer: number;
  readonly head: number;
}

export interface Input {
  readonly tokens: readonly Token[];
  /** By layer, then by head: 1 open, 0 shut. */
  readonly gates: readonly (readonly number[])[];
  /** Of models of images: what is read instead of the tokens' ids. */
  readonly pixels?: Tensor;
  /** A what-if for models that look both ways; causal models are always causal. */
  readonly causal: boolean;
}

/** All heads on T tokens. */
export interface Run {
  /** By layer, those that there are yet: attention probabilities [H, T, T], row = query. Before the gates. */
  readonly weights: readonly Tensor[];
  /** By layer and head. */
  readonly statistics: readonly (readonly HeadStatistics[])[];
  /** The residual stream after the last layer [T, E], if that is there yet. */
  readonly hidden?: Tensor;
  /** Of the token after the last one, of models that write. */
  readonly logits?: Float32Array;
}

/** One layer inside. */
export interface Look {
  readonly layer: number;
  /** As attended with: queries [H, T, D], keys and values [G, T, D], G key/value heads. */
  readonly queries: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Factor of the scores: 1 / √D in most models. */
  readonly scale: number;
  /** Scores scale · q · k, [H, T, T]: before and after the softcap, ALiBi and the mask. */
  readonly scores: Tensor;
  readonly masked: Tensor;
  /** Replaces each score x with softcap · tanh(x / softcap); 0: does not. */
  readonly softcap: number;
  /** Whether each head lowers the scores of keys by their distance. */
  readonly alibi: boolean;
  /** Each head's own output [H, T, D], before the gate. */
  readonly outputs: Tensor;
  /** What each head adds to the residual stream [H, T, E], after the gate. */
  readonly contributions: Tensor;
  /** The sum of these and the output bias [T, E]. */
  readonly attention: Tensor;
}

export interface Subject {
  readonly title: string;
  /** Number of heads by layer. */
  readonly heads: readonly number[];
  readonly maxTokens: number;
  /** The model's own mask: each token reads itself and earlier ones. */
  readonly causal: boolean;
  /** Whether it reads a picture; the text of a side is then the picture's name. */
  readonly pictures: boolean;
  tokenize(text: string): readonly Token[];
  run(input: Input, signal: AbortSignal): Promise<Run>;
  look(input: Input, layer: number, signal: AbortSignal): Promise<Look>;
  /** The text as one vector of length 1, with one more head off if there is one. Only of models that embed. */
  embed?(input: Input, off: HeadPlace | null, signal: AbortSignal): Promise<Float32Array>;
}

/** Few heads are shown with their numbers, and measured one by one; of more, there is a map each. */
export const FEW = 16;

/** The gates of all heads on, of so many heads by layer. */
export const openGates = (heads: readonly number[]): number[][] => heads.map((count) => Array<number>(count).fill(1));

/** The gates with one more head off. */
export const gatesWithout = (gates: Input["gates"], off: HeadPlace | null): Input["gates"] =>
  gates.map((of, layer) => of.map((gate, head) => (off && layer === off.layer && head === off.head ? 0 : gate)));

export const sameHead = (a: HeadPlace, b: HeadPlace): boolean => a.layer === b.layer && a.head === b.head;
/** "2.1": counted from 1, as people do. */
export const nameOfHead = ({ layer, head }: HeadPlace): string => `${layer + 1}.${head + 1}`;
