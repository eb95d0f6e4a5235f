/** Activation patching: what a step of a clean run restores in a corrupted one. */
import { oneOf } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, type OptionTable } from "../base/options.js";
import type { Tokens } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import type { Edit } from "../transformer/types.js";
import { checkMetric } from "./metric.js";
import { checkLanguageModel, tokenPair } from "./model.js";
import { checkAt, Grid } from "./patch_places.js";
import type { PatchMap, PatchOptions } from "./types.js";

export const checkBy = oneOf(["head", "token", "both"]);

const optionTable = {
  at: checkAt,
  by: checkBy,
  metric: (value) => value,
} satisfies OptionTable<PatchOptions>;

export function* patch(
  instance: Instance,
  modelLike: unknown,
  cleanLike: Tokens,
  corruptedLike: Tokens,
  optionsLike: PatchOptions,
): LongWork<PatchMap> {
  const { at, by, metric } = readOptions(optionsLike, "patch", optionTable);
  const model = checkLanguageModel(modelLike, instance, "patch");
  const [clean, corrupted] = tokenPair(model, cleanLike, corruptedLike);
  const measure = checkMetric(metric, "metric", model, clean);
  const grid = new Grid(model, at, by, clean);
  const map = grid.map();
  const cells = [...grid.cells()];
  const step = counter(cells.length);
  const [values] = grid.capture(clean);
  const ends = { clean: measure(clean), corrupted: measure(corrupted) };
  for (const { layer, head, token, at: index } of cells) {
    const tokens = token === undefined ? undefined : [token];
    const edit: Edit = { layer, at, head, tokens, set: values![layer]! };
    map.data[index] = measure(corrupted, [edit]);
    yield step();
  }
  return { ...map, ...ends };
}
