/** What the analyses read of a model: its configuration by head, and its inputs. */
import { invalidOption } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { Tensor } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import { checkTokens, type CheckedTokens } from "../transformer/tokens.js";
import { checkTransformer, type Model } from "../transformer/transformer.js";
import type { Capture, CapturedLayer, InputOptions, ResolvedTransformerConfig } from "../transformer/types.js";

export const unsupported = (call: string, why: string) => new HeadwiseError("unsupported", `${call}: ${why}`);

/** A model of tokens. */
export function checkTextModel(value: unknown, instance: Instance, call: string): Model {
  const model = checkTransformer(value, instance);
  if (model.config.patches !== undefined)
    throw unsupported(call, "the model reads images; expected a model that reads tokens");
  return model;
}

/** A model of tokens with logits of its vocabulary. */
export function checkLanguageModel(value: unknown, instance: Instance, call: string): Model {
  const model = checkTextModel(value, instance, call);
  if (!model.config.head)
    throw unsupported(call, "the model computes no logits of a vocabulary; expected a model with a language head");
  return model;
}

/** Tokens that a model reads, always as [B, L]; as `Tokens` they are its input. */
export function tokensFor({ config }: Model, value: unknown, name: string): CheckedTokens {
  const tokens = checkTokens(value, name, config.vocabSize, config.contextLength);
  return { ...tokens, shape: [tokens.batch, tokens.length] };
}

/** Two inputs that differ in their tokens alone. */
export function tokenPair(model: Model, clean: unknown, corrupted: unknown): readonly [CheckedTokens, CheckedTokens] {
  const pair = [tokensFor(model, clean, "clean"), tokensFor(model, corrupted, "corrupted")] as const;
  const [shape, other] = pair.map((each) => `[${each.shape.join(", ")}]`);
  if (shape === other) return pair;
  const message = `corrupted: expected the shape of clean, ${shape}, got ${other}`;
  throw new HeadwiseError("invalid-shape", message);
}

/** A token of each row: -1 and so on count from the end. */
export function checkPosition(value: unknown, name: string, length: number): number {
  if (value === undefined) return length - 1;
  if (!Number.isInteger(value) || (value as number) < -length || (value as number) >= length)
    throw invalidOption(name, `an integer from ${-length} to ${length - 1}`, value);
  return (value as number) < 0 ? (value as number) + length : (value as number);
}

/** The heads that a map has columns for: those of the first model. What was pruned stays NaN. */
export interface Columns {
  readonly count: number;
  /** Of each layer: the column of each head that is left. */
  readonly of: readonly (readonly number[])[];
}

export const headColumns = ({ numHeads, heads }: ResolvedTransformerConfig): Columns => ({
  count: numHeads,
  of: heads,
});

/** The key/value head, in the first model, that a head of the first model reads. */
export const keyValueHead = ({ numHeads, numKvHeads }: ResolvedTransformerConfig, head: number) =>
  Math.floor((head * numKvHeads) / numHeads);

export const keyValueColumns = (config: ResolvedTransformerConfig): Columns => ({
  count: config.numKvHeads,
  of: config.heads.map((heads) => [...new Set(heads.map((head) => keyValueHead(config, head)))]),
});

/** Floats that one pass may capture. */
const mostFloats = 1 << 24;

/** What is captured of each layer, in turn: of so many layers at a time as memory allows, `floats` for each of their heads. */
export function* eachLayer(
  model: Model,
  tokens: CheckedTokens,
  capture: Capture,
  floats: number,
  options: InputOptions = {},
): Generator<readonly [number, CapturedLayer], void, void> {
  const heads = model.config.heads.map(({ length }) => length);
  for (let first = 0, end = 0; first < heads.length; first = end) {
    let sum = 0;
    do sum += heads[end++]! * floats;
    while (end < heads.length && sum + heads[end]! * floats <= mostFloats);
    const layers = Array.from({ length: end - first }, (_, n) => first + n);
    const captured = model.forward(tokens, { ...options, capture: { ...capture, layers }, logits: "none" }).layers;
    for (const n of layers) yield [n, captured[n]!];
  }
}

/** A tensor of NaN, to be filled. */
export const unknownTensor = (...shape: number[]): Tensor => ({
  data: new Float32Array(shape.reduce((count, extent) => count * extent, 1)).fill(NaN),
  shape,
});

/** The rows of a tensor [..., width], from `row` on. */
export const rowOf = ({ data, shape }: Tensor, row: number): Float32Array => {
  const width = shape.at(-1)!;
  return data.subarray(row * width, (row + 1) * width);
};
