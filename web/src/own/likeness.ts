/** How alike the outputs of two models are: what a model that predicts no tokens has instead of a loss. */
import type { HeadImportance } from "headwise";
import { outputChange } from "../heads/statistics";
import { openGates, type HeadPlace, type Input } from "../heads/subject";
import { mean } from "../learning/prunings";
import type { Opened } from "./opened";
import type { WorkOptions } from "./work.svelte";

/** Mean over all tokens of 1 − cosine of the last hidden states of `before` and `after`, the latter without a head if there is one. */
async function change(
  before: Opened,
  after: Opened,
  inputs: readonly Input[],
  off: HeadPlace | null,
  signal: AbortSignal,
) {
  const changes: number[] = [];
  for (const input of inputs) {
    const one = await before.hidden(input, null, signal);
    const other = await after.hidden({ ...input, gates: openGates(after.heads) }, off, signal);
    changes.push(...outputChange(one, other));
  }
  return mean(changes);
}

/** 1: the same directions. */
export const likeness = async (before: Opened, after: Opened, inputs: readonly Input[], signal: AbortSignal) =>
  1 - (await change(before, after, inputs, null, signal));

/** What the output loses without each head alone. */
export async function leaveOneOut(
  model: Opened,
  inputs: readonly Input[],
  { signal, onProgress }: WorkOptions,
): Promise<HeadImportance> {
  const total = model.heads.reduce((sum, count) => sum + count, 0);
  const importance: number[][] = [];
  let done = 0;
  for (const [layer, count] of model.heads.entries()) {
    importance.push([]);
    for (let head = 0; head < count; ++head) {
      importance[layer].push(await change(model, model, inputs, { layer, head }, signal));
      onProgress({ done: ++done, total });
    }
  }
  return importance;
}
