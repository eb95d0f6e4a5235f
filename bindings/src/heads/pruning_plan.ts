/** Checks the arguments of `pruneByImportance`. */
import { checkAdamWOptions } from "../module/adamw.js";
import { checkBatches, type CheckedBatch } from "./batches.js";
import { checkBoolean, float64, integer, invalidOption, readList, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { hasMembers, optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { importanceTable } from "./importance.js";
import type { FineTune, HeadImportance, ImportanceSource, PruneOptions } from "./types.js";
import type { AdamWOptions } from "../module/types.js";
import type { AnyTransformer } from "../transformer/types.js";

export type FineTuning = FineTune | ((model: AnyTransformer) => void);

export interface Plan {
  /** Importance as numbers, or as a method to measure it. One of both is given. */
  readonly values: HeadImportance | undefined;
  readonly method: Checked<typeof importanceTable> | undefined;
  readonly measured: readonly CheckedBatch[];
  /** The batches to measure the loss on; may be empty. */
  readonly batches: readonly CheckedBatch[];
  readonly keepOnePerLayer: boolean;
  /** The largest number of heads to remove, and the number per step. */
  readonly most: number;
  readonly stepSize: number;
  readonly reestimates: boolean;
  /** The relative increase of the loss that is allowed. */
  readonly increase: number | undefined;
  readonly fineTune:
    | { optimizer: AdamWOptions; steps: number; batches: readonly CheckedBatch[] }
    | ((model: AnyTransformer) => unknown)
    | undefined;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const checkImportanceNumber = (value: unknown, name: string) => {
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw invalidOption(name, "a number", value);
};

/** Reads importance that is given as numbers. */
function checkImportance(value: unknown, counts: readonly number[]): HeadImportance {
  const layers = readList(value, "importance", "numbers by layer and head, or { method, batches }").map((layer, n) => {
    const at = `importance[${n}]`;
    const numbers = readList(layer, at, "an array of numbers");
    return numbers.map((number, h) => checkImportanceNumber(number, `${at}[${h}]`));
  });
  const given = layers.map((layer) => layer.length);
  if (String(given) === String(counts)) return layers;
  const expected = `${show(counts)} heads in the model's layers`;
  throw new HeadwiseError("invalid-shape", `importance: expected ${expected}, got ${show(given)}`);
}

/** The option tables for one model, which batches must fit. */
const optionTables = (model: AnyTransformer) => {
  const batches = optional((value, name) => checkBatches(value, name, model));
  const fineTune = {
    optimizer: (value, name) => {
      if (value === undefined) throw invalidOption(name, "the options of adamW", value);
      return checkAdamWOptions(value, name, `${name}.`);
    },
    steps: integer(1),
    batches,
  } satisfies OptionTable<FineTune>;
  return {
    source: { ...importanceTable, batches } satisfies OptionTable<ImportanceSource>,
    options: {
      fraction: optional(float64(">= 0 and <= 1")),
      count: optional(integer(0)),
      maxLossIncrease: optional(float64(">= 0")),
      batches,
      keepOnePerLayer: withDefault(checkBoolean, true),
      reestimate: optional(integer(1)),
      fineTune: optional((value, name) =>
        typeof value === "function"
          ? (value as (model: AnyTransformer) => unknown)
          : readOptions(value, name, fineTune, `${name}.`),
      ),
    } satisfies OptionTable<PruneOptions<FineTuning>>,
  };
};

type CheckedOptions = Checked<ReturnType<typeof optionTables>["options"]>;

/** How many heads to remove at most, and the allowed increase of the loss. */
function fitGoal({ fraction, count, maxLossIncrease }: CheckedOptions, heads: number, removable: number) {
  if ([fraction, count, maxLossIncrease].filter((goal) => goal !== undefined).length !== 1)
    throw new HeadwiseError(
      "invalid-option",
      "pruneByImportance: expected exactly one of fraction, count and maxLossIncrease",
    );
  if (maxLossIncrease !== undefined) return { most: removable, increase: maxLossIncrease };
  const most = count ?? Math.floor(fraction! * heads + 1e-9); // 0.29 of 100 heads are 29
  if (most > removable) {
    const name = count === undefined ? "fraction" : "count";
    throw new HeadwiseError("invalid-option", `${name}: cannot remove ${most} of ${heads} heads, at most ${removable}`);
  }
  return { most, increase: undefined };
}

function fitFineTune(fineTune: CheckedOptions["fineTune"], otherwise: readonly CheckedBatch[]): Plan["fineTune"] {
  if (fineTune === undefined || typeof fineTune === "function") return fineTune;
  const { batches = otherwise } = fineTune;
  if (batches.length === 0) throw invalidOption("fineTune.batches", "at least one batch", batches);
  return { ...fineTune, batches };
}

export function checkPlan(
  model: AnyTransformer,
  importance: HeadImportance | ImportanceSource,
  optionsLike: PruneOptions<FineTuning>,
): Plan {
  const tables = optionTables(model);
  const source = hasMembers(importance)
    ? readOptions(importance, "importance", tables.source, "importance.")
    : undefined;
  const counts = model.config.heads.map((heads) => heads.length);
  const values = source ? undefined : checkImportance(importance, counts);
  const options = readOptions(optionsLike, "pruneByImportance", tables.options);
  const { keepOnePerLayer, reestimate } = options;
  const measured = source?.batches ?? [];
  const batches = options.batches ?? measured;
  if (reestimate !== undefined && !source)
    throw new HeadwiseError("invalid-option", "reestimate: only with importance given as { method, batches }");
  if (source && measured.length === 0 && source.method !== "random")
    throw invalidOption("importance.batches", "at least one batch", measured);
  const removable = keepOnePerLayer ? counts.map((count) => Math.max(count - 1, 0)) : counts;
  const { most, increase } = fitGoal(options, sum(counts), sum(removable));
  if (increase !== undefined && batches.length === 0)
    throw new HeadwiseError("invalid-option", "maxLossIncrease: needs batches to measure the loss on");
  if (increase !== undefined && !model.config.head)
    throw new HeadwiseError("invalid-option", "maxLossIncrease: a model without a head for tokens has no loss");
  return {
    ...{ values, method: source, measured, batches, keepOnePerLayer, most, increase },
    stepSize: reestimate ?? (increase === undefined ? Math.max(most, 1) : 1),
    reestimates: reestimate !== undefined,
    fineTune: fitFineTune(options.fineTune, measured.length > 0 ? measured : batches),
  };
}
