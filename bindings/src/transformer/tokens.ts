/** Tokens of calls: integers of a vocabulary, one sequence [L] or several of one length [B, L]. */
import { copyOfArray, invalidOption, invalidShape, typeTag } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { Slot, Staging } from "../runtime/instance.js";
import type { TokensCall } from "../runtime/native.js";
import { checkShape, isTensorLike, readTensor, sameShape } from "../base/tensor.js";
import type { TensorLike } from "../base/types.js";
import type { Tokens } from "./types.js";

/** Tokens that have been checked, in a copy that nobody else can change. */
export interface CheckedTokens {
  readonly data: Int32Array;
  /** [L] or [B, L]. */
  readonly shape: readonly number[];
  readonly batch: number;
  readonly length: number;
}

/** @param least the least token: -1 where that stands for none */
export function checkTokens(
  value: Tokens,
  name: string,
  vocabSize: number,
  contextLength: number,
  least = 0,
): CheckedTokens {
  const flat = typeTag(value) === "Int32Array";
  if (!flat && !isTensorLike(value)) throw invalidOption(name, "an Int32Array, or { data, shape }", value);
  const given = flat
    ? { data: value, shape: [(value as Int32Array).length] }
    : readTensor(value as unknown as TensorLike);
  if (typeTag(given.data) !== "Int32Array")
    throw invalidOption(flat ? name : `${name}.data`, "an Int32Array", given.data);
  const data = given.data as Int32Array;
  const shape = checkShape(given.shape, data.length, name);
  if (shape.length !== 1 && shape.length !== 2) throw invalidShape(name, "[L] or [B, L]", shape);
  const [length, batch = 1] = [...shape].reverse() as [number, number?];
  if (data.length === 0) throw invalidShape(name, "no empty axis", shape);
  if (length > contextLength) throw invalidShape(name, `at most contextLength = ${contextLength} tokens`, shape);
  const copy = copyOfArray(data);
  const wrong = copy.findIndex((token) => token < least || token >= vocabSize);
  if (wrong >= 0) throw invalidOption(`${name}[${wrong}]`, `an integer from ${least} to ${vocabSize - 1}`, copy[wrong]);
  return { data: copy, shape, batch, length };
}

/** Tokens and what should come of each: targets have the same shape, and may be -1. */
export function checkBatch(tokensLike: Tokens, targetsLike: Tokens, vocabSize: number, contextLength: number) {
  const tokens = checkTokens(tokensLike, "tokens", vocabSize, contextLength);
  const targets = checkTokens(targetsLike, "targets", vocabSize, contextLength, -1);
  if (!sameShape(tokens.shape, targets.shape))
    throw invalidShape("targets", `that of tokens, [${tokens.shape.join(", ")}]`, targets.shape);
  return { tokens, targets };
}

/** A call's tokens, in the staging block. */
export class StagedTokens {
  readonly #slots: readonly Slot[];

  constructor(
    private readonly staging: Staging,
    private readonly tokens: CheckedTokens,
    targets?: CheckedTokens,
  ) {
    this.#slots = [tokens, ...(targets === undefined ? [] : [targets])].map(({ data }) => staging.input(data));
  }

  /** After `place`. */
  get call(): TokensCall {
    const { batch, length } = this.tokens;
    const [tokens, targets] = this.#slots;
    return { batch, length, tokens: this.staging.pointer(tokens), targets: this.staging.pointer(targets) };
  }
}

/** Refuses what no memory could hold, before the core counts in 32 bits. */
export function refuseTooLarge(staging: { outOfMemory(bytes: number, what: string): HeadwiseError }, floats: number) {
  if (4 * floats >= 2 ** 32) throw staging.outOfMemory(4 * floats, "activations");
}
