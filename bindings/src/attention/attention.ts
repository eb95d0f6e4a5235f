import { checkPast, extentsOf, shapeAtRank } from "./shapes.js";
import { checkBoolean, checkGates, checkOneOf, checkOptions, checkScale } from "../base/checks.js";
import { Staging, type Instance } from "../runtime/instance.js";
import { checkTensor, product } from "../base/tensor.js";
import type { AttentionOptions, AttentionResult, AttentionReturn } from "./types.js";
import type { TensorLike } from "../base/types.js";
import { checkVisibility, visibilityArgument, visibilityOptionNames } from "./visibility.js";

/** In the order of the core's WeightsStage. */
export const weightsStages = ["probabilities", "scores", "capped", "masked"] as const;

export function attention<R extends AttentionReturn>(
  instance: Instance,
  queryLike: TensorLike,
  keyLike: TensorLike,
  valueLike: TensorLike,
  optionsLike?: AttentionOptions<R>,
): AttentionResult<R> {
  const staging = new Staging(instance);
  const query = checkTensor(queryLike, "query");
  const key = checkTensor(keyLike, "key");
  const value = checkTensor(valueLike, "value");
  const options = checkOptions(optionsLike, "attention", [
    "numHeads",
    "numKvHeads",
    ...visibilityOptionNames,
    "past",
    "scale",
    "softcap",
    "headGates",
    "return",
  ]);
  const extents = extentsOf(query, key, value, options);
  const { batch, heads, kvHeads, queries, headDim, valueHeadDim } = extents;
  const past = options.past === undefined ? undefined : checkPast(options.past, extents, { key, value });
  const pastLength = past?.length ?? 0;
  const keys = pastLength + extents.keys; // S
  const asked: AttentionReturn = checkOptions<AttentionReturn>(options.return, "return", ["weights", "present"]);
  if (asked.weights !== undefined) checkOneOf(asked.weights, "return.weights", weightsStages);
  const returnsPresent = asked.present !== undefined && checkBoolean(asked.present, "return.present");
  const scale = options.scale === undefined ? 1 / Math.sqrt(headDim) : checkScale(options.scale);
  const softcap = options.softcap === undefined ? 0 : checkScale(options.softcap, "softcap");
  const visibility = checkVisibility(options, [batch, heads, queries, keys], staging, pastLength);

  const rank = query.shape.length;
  const result = (shape: number[]) => ({ shape, slot: staging.output(product(shape)) });
  const cached = (width: number) => (past || returnsPresent ? result([batch, kvHeads, keys, width]) : undefined);
  const inputs = {
    query: staging.tensor(query),
    key: staging.tensor(key),
    value: staging.tensor(value),
    pastKey: past && staging.tensor(past.key),
    pastValue: past && staging.tensor(past.value),
    gates:
      options.headGates === undefined ? undefined : staging.input(checkGates(options.headGates, "headGates", heads)),
  };
  const output = result(shapeAtRank(rank, batch, heads, queries, valueHeadDim));
  const weights = asked.weights && result(rank === 2 ? [queries, keys] : [batch, heads, queries, keys]);
  const present = { key: cached(headDim), value: cached(valueHeadDim) };
  staging.place();
  staging.check(
    instance.engine.attention(
      {
        ...extents,
        past: pastLength,
        headsFirst: rank !== 3,
        query: staging.pointer(inputs.query),
        key: staging.pointer(inputs.key),
        value: staging.pointer(inputs.value),
        output: staging.pointer(output.slot),
        pastKey: staging.pointer(inputs.pastKey),
        pastValue: staging.pointer(inputs.pastValue),
        presentKey: staging.pointer(present.key?.slot),
        presentValue: staging.pointer(present.value?.slot),
        weights: staging.pointer(weights?.slot),
        gates: staging.pointer(inputs.gates),
        weightsStage: asked.weights ? weightsStages.indexOf(asked.weights) : 0,
        scale,
        softcap,
      },
      ...visibilityArgument(visibility, staging),
    ),
  );
  const read = ({ shape, slot }: ReturnType<typeof result>) => ({ data: staging.read(slot), shape });
  return {
    output: read(output),
    ...(weights && { weights: read(weights) }),
    ...(returnsPresent && { present: { key: read(present.key!), value: read(present.value!) } }),
  } as AttentionResult<R>;
}
