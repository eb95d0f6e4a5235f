/** Tokens of calls: integers of a vocabulary, one sequence [L] or several of one length [B, L]. */
import { invalidOption, invalidShape } from "../base/checks.js";
import { copyOfArray, typeTag, viewOf } from "../base/kinds.js";
import { checkShape, isTensorLike, readTensor, sameShape } from "../base/tensor.js";
import type { TensorLike } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
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
  value: unknown,
  name: string,
  vocabSize: number,
  contextLength: number,
  least = 0,
): CheckedTokens {
  const flat = typeTag(value) === "Int32Array";
  if (!flat && !isTensorLike(value)) throw invalidOption(name, "an Int32Array, or { data, shape }", value);
  const given = flat
    ? { data: value, shape: [viewOf(value as Int32Array).length] }
    : readTensor(value as unknown as TensorLike);
  if (typeTag(given.data) !== "Int32Array")
    throw invalidOption(flat ? name : `${name}.data`, "an Int32Array", given.data);
  const copy = copyOfArray(given.data as Int32Array);
  const shape = checkShape(given.shape, copy.length, name);
  if (shape.length !== 1 && shape.length !== 2) throw invalidShape(name, "[L] or [B, L]", shape);
  const [length, batch = 1] = [...shape].reverse() as [number, number?];
  if (length === 0) throw invalidShape(name, "at least one token", shape);
  if (length > contextLength) throw invalidShape(name, `at most contextLength = ${contextLength} tokens`, shape);
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

/** Refuses what no memory could hold, before the core counts in 32 bits. */
export function refuseTooLarge(instance: Instance, floats: number): void {
  if (4 * floats >= 2 ** 32) throw instance.outOfMemory(4 * floats, "activations");
}
