/** Attribution patching: what activation patching would give, to first order, from two passes forward and one back. */
import { HeadwiseError } from "../base/errors.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, type OptionTable } from "../base/options.js";
import type { Tensor, Tokens } from "../base/types.js";
import { counter, notMeasurable } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { differentiate } from "./differentiate.js";
import { checkDifference } from "./metric.js";
import { checkLanguageModel, tokenPair } from "./model.js";
import { checkBy } from "./patch.js";
import { checkAt, Grid } from "./patch_places.js";
import type { AttributionMap, AttributionPatchOptions } from "./types.js";

const optionTable = {
  at: checkAt,
  by: checkBy,
  metric: (value) => value,
} satisfies OptionTable<AttributionPatchOptions>;

export function* attributionPatch(
  instance: Instance,
  modelLike: unknown,
  cleanLike: Tokens,
  corruptedLike: Tokens,
  optionsLike: AttributionPatchOptions,
): LongWork<AttributionMap> {
  const { at, by, metric } = readOptions(optionsLike, "attributionPatch", optionTable);
  const model = checkLanguageModel(modelLike, instance, "attributionPatch");
  const [clean, corrupted] = tokenPair(model, cleanLike, corruptedLike);
  if (typeof metric === "function")
    throw new HeadwiseError(
      "invalid-option",
      "metric: a function has no gradient; expected { answer, against?, position? }",
    );
  const difference = checkDifference(metric, "metric", model, clean);
  const grid = new Grid(model, at, by, clean);
  const step = counter(2);
  const [restored, present] = grid.capture(clean, corrupted) as [Tensor[], Tensor[]];
  yield step();
  const { value, gradients } = differentiate(model, corrupted, difference, grid.place);
  if (!Number.isFinite(value)) throw notMeasurable(`the metric is ${value}`);
  yield step();
  const map = grid.map();
  const B = clean.batch;
  for (const { layer, head, token, at: index } of grid.cells()) {
    const { data, shape } = gradients[layer]!;
    const [L, width] = shape.slice(-2) as [number, number];
    const H = data.length / (B * L * width); // 1 of the whole layer
    let sum = 0;
    for (let row = 0; row < B * H * L; ++row) {
      if (head !== undefined && Math.floor(row / L) % H !== head) continue;
      if (token !== undefined && row % L !== token) continue;
      for (let n = row * width; n < (row + 1) * width; ++n)
        sum += data[n]! * (restored[layer]!.data[n]! - present[layer]!.data[n]!);
    }
    map.data[index] = sum;
  }
  return { ...map, corrupted: value };
}
