/** Reads tokens of calls: token ids of the vocabulary, one sequence [L] or several of equal length [B, L]. */
import { invalidShape } from "../base/checks.js";
import { readTokens, type ReadTokens } from "../base/tokens.js";
import type { Instance } from "../runtime/instance.js";

/** Checked tokens: [L] or [B, L]. */
export interface CheckedTokens extends ReadTokens {
  readonly batch: number;
  readonly length: number;
}

/** @param least the smallest allowed id: -1 for targets, where it means "ignored" */
export function checkTokens(
  value: unknown,
  name: string,
  vocabSize: number,
  contextLength: number,
  least = 0,
): CheckedTokens {
  const { data, shape } = readTokens(value, name, least, vocabSize - 1);
  if (shape.length !== 1 && shape.length !== 2) throw invalidShape(name, "[L] or [B, L]", shape);
  const [length, batch = 1] = [...shape].reverse() as [number, number?];
  if (length === 0) throw invalidShape(name, "at least one token", shape);
  if (length > contextLength) throw invalidShape(name, `at most contextLength = ${contextLength} tokens`, shape);
  return { data, shape, batch, length };
}

/** Refuses what no memory could hold, before the core counts in 32 bits. */
export function refuseTooLarge(instance: Instance, floats: number): void {
  if (4 * floats >= 2 ** 32) throw instance.outOfMemory(4 * floats, "activations");
}
