import {
  checkGates,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkScale,
  invalidOption,
  invalidShape,
  maxExtent,
} from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { Staging, type Instance } from "./instance.js";
import { checkTensor, product, refuseEmpty } from "./tensor.js";
import type { AttentionOptions, AttentionResult, AttentionReturn, Tensor, TensorLike } from "./types.js";
import { checkVisibility, visibilityCall, visibilityOptionNames } from "./visibility.js";

interface Extents {
  batch: number;
  heads: number;
  queries: number;
  keys: number;
  headDim: number;
  valueHeadDim: number;
}

/** Width of one head where a row holds `heads` of them. */
function split(t: Tensor, name: string, heads: number): number {
  const width = t.shape[2]!;
  if (width % heads !== 0) throw invalidShape(name, `a last axis that numHeads = ${heads} divides`, t.shape);
  return width / heads;
}

/** Reads B, H, L, S, D and Dv from the shapes, and refuses shapes that contradict each other. */
function extentsOf(query: Tensor, key: Tensor, value: Tensor, numHeads: unknown): Extents {
  const rank = query.shape.length;
  if (rank < 2 || rank > 4) throw invalidShape("query", "rank 2 [L, D], 3 [B, L, H*D] or 4 [B, H, L, D]", query.shape);
  for (const [t, name] of [
    [query, "query"],
    [key, "key"],
    [value, "value"],
  ] as const) {
    if (t.shape.length !== rank) throw invalidShape(name, `rank ${rank}, as query has`, t.shape);
    refuseEmpty(t, name);
  }
  if (rank !== 3 && numHeads !== undefined) {
    throw new HeadwiseError("invalid-option", `numHeads: for rank 3 only; at rank ${rank} the shapes say it`);
  }
  if (rank === 3 && numHeads === undefined)
    throw invalidOption("numHeads", "the number of heads (rank 3 needs it)", numHeads);
  const heads = rank === 3 ? checkInteger(numHeads, "numHeads", 1, maxExtent) : rank === 4 ? query.shape[1]! : 1;
  const widths = [query, key, value].map((t, n) =>
    rank === 3 ? split(t, ["query", "key", "value"][n]!, heads) : t.shape[rank - 1]!,
  );
  const lengthAxis = rank === 3 ? 1 : rank - 2;
  const extents: Extents = {
    batch: rank === 2 ? 1 : query.shape[0]!,
    heads,
    queries: query.shape[lengthAxis]!,
    keys: key.shape[lengthAxis]!,
    headDim: widths[0]!,
    valueHeadDim: widths[2]!,
  };
  const leading = rank === 2 ? [] : rank === 3 ? [extents.batch] : [extents.batch, heads];
  const rows = (width: number) => [...leading, extents.keys, rank === 3 ? heads * width : width];
  const expectedKey = rows(extents.headDim);
  const expectedValue = rows(extents.valueHeadDim);
  if (String(key.shape) !== String(expectedKey)) {
    throw invalidShape("key", `[${expectedKey.join(", ")}] to match query [${query.shape.join(", ")}]`, key.shape);
  }
  if (String(value.shape) !== String(expectedValue)) {
    throw invalidShape("value", `[${expectedValue.join(", ")}] to match key [${key.shape.join(", ")}]`, value.shape);
  }
  return extents;
}

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
    ...visibilityOptionNames,
    "scale",
    "headGates",
    "return",
  ]);
  const extents = extentsOf(query, key, value, options.numHeads);
  const { batch, heads, queries, keys, headDim, valueHeadDim } = extents;
  const { weights: stage } = checkOptions(options.return, "return", ["weights"]);
  if (stage !== undefined) checkOneOf(stage, "return.weights", ["probabilities"]);
  const scale = options.scale === undefined ? 1 / Math.sqrt(headDim) : checkScale(options.scale);
  const visibility = checkVisibility(options, [batch, heads, queries, keys], staging);

  const rank = query.shape.length;
  const outputShape = [...query.shape.slice(0, -1), rank === 3 ? heads * valueHeadDim : valueHeadDim];
  const weightsShape = rank === 2 ? [queries, keys] : [batch, heads, queries, keys];
  const slots = {
    query: staging.input(query.data),
    key: staging.input(key.data),
    value: staging.input(value.data),
    gates:
      options.headGates === undefined ? undefined : staging.input(checkGates(options.headGates, "headGates", heads)),
    output: staging.output(product(outputShape)),
    weights: stage === undefined ? undefined : staging.output(product(weightsShape)),
  };
  staging.place();
  staging.check(
    instance.engine.attention({
      ...extents,
      kvHeads: heads,
      past: 0,
      pastKey: 0,
      pastValue: 0,
      presentKey: 0,
      presentValue: 0,
      weightsStage: 0,
      softcap: 0,
      headsFirst: rank !== 3,
      query: staging.pointer(slots.query),
      key: staging.pointer(slots.key),
      value: staging.pointer(slots.value),
      output: staging.pointer(slots.output),
      weights: staging.pointer(slots.weights),
      gates: staging.pointer(slots.gates),
      scale,
      visibility: visibilityCall(visibility, staging),
    }),
  );
  return {
    output: { data: staging.read(slots.output), shape: outputShape },
    ...(slots.weights && { weights: { data: staging.read(slots.weights), shape: weightsShape } }),
  } as AttentionResult<R>;
}
