import { checkBoolean, checkGates, float32, integer, oneOf, refuseOtherLength } from "../base/checks.js";
import { group, optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { checkTensor } from "../base/tensor.js";
import type { TensorLike } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import { extentsOf, fitPast, shapeAtRank } from "./shapes.js";
import type { AttentionOptions, AttentionResult, AttentionReturn, KeysAndValues } from "./types.js";
import { fitVisibility, visibilityArgument, visibilityTable } from "./visibility.js";

/** In the order of the core's WeightsStage. */
export const weightsStages = ["probabilities", "scores", "capped", "masked"] as const;

const optionTable = {
  numHeads: optional(integer(1)),
  numKvHeads: optional(integer(1)),
  ...visibilityTable,
  past: optional(group({ key: checkTensor, value: checkTensor } satisfies OptionTable<KeysAndValues>)),
  scale: optional(float32(">= 0")),
  softcap: withDefault(float32(">= 0"), 0),
  headGates: optional(checkGates),
  return: group({
    weights: optional(oneOf(weightsStages)),
    present: withDefault(checkBoolean, false),
  } satisfies OptionTable<AttentionReturn>),
} satisfies OptionTable<AttentionOptions>;

export function attention<R extends AttentionReturn>(
  instance: Instance,
  queryLike: TensorLike,
  keyLike: TensorLike,
  valueLike: TensorLike,
  optionsLike?: AttentionOptions<R>,
): AttentionResult<R> {
  const query = checkTensor(queryLike, "query");
  const key = checkTensor(keyLike, "key");
  const value = checkTensor(valueLike, "value");
  const options = readOptions(optionsLike, "attention", optionTable);
  const { past, headGates: gates, softcap } = options;
  const extents = extentsOf(query, key, value, options);
  const { batch, heads, kvHeads, queries, headDim, valueHeadDim } = extents;
  const pastLength = past ? fitPast(past, extents, { key, value }) : 0;
  const keys = pastLength + extents.keys; // S
  const visibility = fitVisibility(options, [batch, heads, queries, keys], pastLength);
  if (gates) refuseOtherLength(gates, "headGates", heads);

  const rank = query.shape.length;
  const { weights: stage, present: returnsPresent } = options.return;
  const present = (width: number) => (past || returnsPresent ? [batch, kvHeads, keys, width] : undefined);
  return instance.engine.call(
    { query, key, value, pastKey: past?.key, pastValue: past?.value, gates, ...visibility.inputs },
    {
      output: shapeAtRank(rank, batch, heads, queries, valueHeadDim),
      weights: stage && (rank === 2 ? [queries, keys] : [batch, heads, queries, keys]),
      presentKey: present(headDim),
      presentValue: present(valueHeadDim),
    },
    (engine, staged) => {
      const call = {
        ...extents,
        ...staged.pointers,
        past: pastLength,
        headsFirst: rank !== 3,
        weightsStage: weightsStages.indexOf(stage ?? "probabilities"),
        scale: options.scale ?? 1 / Math.sqrt(headDim),
        softcap,
      };
      staged.check(engine.attention(call, ...visibilityArgument(visibility, staged.pointers)));
      const results = staged.results("output", "weights");
      if (!returnsPresent) return results as AttentionResult<R>;
      const { presentKey, presentValue } = staged.results("presentKey", "presentValue");
      return { ...results, present: { key: presentKey, value: presentValue } } as AttentionResult<R>;
    },
  );
}
