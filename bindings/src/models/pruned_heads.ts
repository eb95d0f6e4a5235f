/** Which heads were pruned, as config.json says it: by layer, indices in the first model. */
import { isObject } from "../base/kinds.js";
import { show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";

/** transformers 4's, and ours for families of which it prunes none. */
export const prunedKeys = ["pruned_heads", "headwise_pruned_heads"] as const;

/** The heads of each layer that are left; undefined where none was pruned. */
export function readPruned(
  values: Readonly<Record<string, unknown>>,
  layers: number,
  numHeads: number,
): number[][] | undefined {
  const key = prunedKeys.find((name) => values[name] !== undefined && values[name] !== null);
  if (key === undefined) return undefined;
  const wrong = (what: unknown) =>
    new HeadwiseError("invalid-file", `config.json: ${key}: ${show(what)} is no list of heads of a layer`);
  const pruned = values[key];
  if (!isObject(pruned)) throw wrong(pruned);
  const isBelow = (most: number) => (value: unknown) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) < most;
  for (const [layer, heads] of Object.entries(pruned)) {
    if (
      String(Number(layer)) !== layer ||
      !isBelow(layers)(Number(layer)) ||
      !Array.isArray(heads) ||
      !heads.every(isBelow(numHeads))
    )
      throw wrong(heads);
  }
  return Array.from({ length: layers }, (_, n) => {
    const gone = new Set(pruned[n] as number[] | undefined);
    return Array.from({ length: numHeads }, (_, h) => h).filter((h) => !gone.has(h));
  });
}

/** The way back; undefined where no head is gone. */
export function writePruned(
  heads: readonly (readonly number[])[],
  numHeads: number,
): Record<string, number[]> | undefined {
  const pruned = heads.map((left) => Array.from({ length: numHeads }, (_, h) => h).filter((h) => !left.includes(h)));
  const entries = pruned.flatMap((gone, n) => (gone.length > 0 ? [[String(n), gone] as const] : []));
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
