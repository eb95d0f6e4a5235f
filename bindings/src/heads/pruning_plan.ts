/** The arguments of pruning by importance, checked. */
import { checkAdamWOptions } from "../module/adamw.js";
import { checkBatches, type CheckedBatch } from "./batches.js";
import { checkBoolean, checkInteger, checkOptions, invalidOption, isObject, maxExtent, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { FineTune, HeadImportance, HeadImportanceOptions, ImportanceSource, PruneOptions } from "./types.js";
import type { Transformer } from "../transformer/types.js";

export type FineTuning = FineTune | ((model: Transformer) => void);

export interface Plan {
  /** Where importance comes from: numbers, or a way to measure them. */
  readonly values: HeadImportance | undefined;
  readonly method: HeadImportanceOptions;
  readonly measured: readonly CheckedBatch[];
  /** What the loss is measured on; may be empty. */
  readonly batches: readonly CheckedBatch[];
  readonly keepOnePerLayer: boolean;
  /** The most heads that go, and in how large steps. */
  readonly most: number;
  readonly stepSize: number;
  readonly reestimates: boolean;
  /** The loss may grow by so much of itself. */
  readonly increase: number | undefined;
  readonly fineTune: (FineTune & { batches: readonly CheckedBatch[] }) | ((model: Transformer) => unknown) | undefined;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** The importance of a model's heads, given as numbers. */
function checkImportance(value: unknown, counts: readonly number[]): HeadImportance {
  if (!Array.isArray(value))
    throw invalidOption("importance", "numbers by layer and head, or { method, batches }", value);
  const layers = Array.from(value.slice(0, counts.length + 1), (layer: unknown, n) => {
    if (!Array.isArray(layer)) throw invalidOption(`importance[${n}]`, "an array of numbers", layer);
    return layer as unknown[];
  });
  const given = layers.map((layer) => layer.length);
  if (String(given) !== String(counts)) {
    const expected = `${show(counts)} heads in the model's layers`;
    throw new HeadwiseError("invalid-shape", `importance: expected ${expected}, got ${show(given)}`);
  }
  return layers.map((layer, n) =>
    Array.from(layer, (number, h) => {
      if (typeof number === "number" && !Number.isNaN(number)) return number;
      throw invalidOption(`importance[${n}][${h}]`, "a number", number);
    }),
  );
}

/** How many of the heads may go, at most, and up to which loss. */
function checkGoal(options: PruneOptions<FineTuning>, heads: number, removable: number) {
  const { fraction, count, maxLossIncrease } = options;
  if ([fraction, count, maxLossIncrease].filter((goal) => goal !== undefined).length !== 1)
    throw new HeadwiseError("invalid-option", "pruneByImportance: expected one of fraction, count and maxLossIncrease");
  const checkNumber = (value: unknown, name: string, most: number) => {
    if (typeof value === "number" && value >= 0 && value <= most) return value;
    throw invalidOption(name, most === 1 ? "a number from 0 to 1" : "a number >= 0", value);
  };
  if (maxLossIncrease !== undefined)
    return { most: removable, increase: checkNumber(maxLossIncrease, "maxLossIncrease", Infinity) };
  const most =
    count === undefined
      ? Math.floor(checkNumber(fraction, "fraction", 1) * heads + 1e-9) // 0.29 of 100 heads are 29
      : checkInteger(count, "count", 0, maxExtent);
  if (most > removable) {
    const name = count === undefined ? "fraction" : "count";
    throw new HeadwiseError(
      "invalid-option",
      `${name}: ${most} heads are to go, but of ${heads} only ${removable} can`,
    );
  }
  return { most, increase: undefined };
}

function checkFineTune(value: FineTuning | undefined, otherwise: readonly CheckedBatch[], model: Transformer) {
  if (value === undefined || typeof value === "function") return value;
  const { optimizer, steps, ...given } = checkOptions(value, "fineTune", ["optimizer", "steps", "batches"]);
  const batches = given.batches === undefined ? otherwise : checkBatches(given.batches, "fineTune.batches", model);
  if (!isObject(optimizer)) throw invalidOption("fineTune.optimizer", "the options of adamW", optimizer);
  if (batches.length === 0) throw invalidOption("fineTune.batches", "at least one batch", batches);
  checkAdamWOptions(optimizer);
  return { optimizer: { ...optimizer }, steps: checkInteger(steps, "fineTune.steps", 1, maxExtent), batches };
}

export function checkPlan(
  model: Transformer,
  importance: HeadImportance | ImportanceSource,
  optionsLike: PruneOptions<FineTuning>,
): Plan {
  const options = checkOptions(optionsLike, "pruneByImportance", [
    "fraction",
    "count",
    "maxLossIncrease",
    "batches",
    "keepOnePerLayer",
    "reestimate",
    "fineTune",
  ]);
  const counts = model.config.heads.map((heads) => heads.length);
  const isSource = isObject(importance) && !Array.isArray(importance);
  const { batches: source, ...method } = isSource
    ? checkOptions(importance as ImportanceSource, "importance", ["method", "batches", "normalize", "seed"])
    : {};
  const values = isSource ? undefined : checkImportance(importance, counts);
  const measured = source === undefined ? [] : checkBatches(source, "importance.batches", model);
  const batches = options.batches === undefined ? measured : checkBatches(options.batches, "batches", model);
  const { keepOnePerLayer = true, reestimate } = options;
  checkBoolean(keepOnePerLayer, "keepOnePerLayer");
  if (reestimate !== undefined) checkInteger(reestimate, "reestimate", 1, maxExtent);
  if (reestimate !== undefined && !isSource)
    throw new HeadwiseError("invalid-option", "reestimate: needs importance as { method, batches }");
  const removable = keepOnePerLayer ? counts.map((count) => Math.max(count - 1, 0)) : counts;
  const { most, increase } = checkGoal(options, sum(counts), sum(removable));
  if (increase !== undefined && batches.length === 0)
    throw new HeadwiseError("invalid-option", "maxLossIncrease: needs batches to measure the loss on");
  return {
    ...{ values, method: method as HeadImportanceOptions, measured, batches, keepOnePerLayer, most, increase },
    stepSize: reestimate ?? (increase === undefined ? Math.max(most, 1) : 1),
    reestimates: reestimate !== undefined,
    fineTune: checkFineTune(options.fineTune, measured.length > 0 ? measured : batches, model),
  };
}
