import { checkArray, checkOptions, invalidShape, typeTag } from "../base/checks.js";
import { Staging, type Instance } from "../runtime/instance.js";
import { checkTensor, refuseEmpty } from "../base/tensor.js";
import type { AnalyzeHeadsOptions, HeadStatistics } from "./types.js";
import type { TensorLike } from "../base/types.js";
import { checkVisibility, visibilityArgument, visibilityOptionNames } from "./visibility.js";

/** Floats of the core's HeadStatistics, in its order. */
const statisticNames = ["entropy", "distance", "confidence", "first", "previous", "next", "self"] as const;
const tokenStatisticNames = ["duplicate", "induction"] as const;
const allNames = [...statisticNames, ...tokenStatisticNames] as const;

/** [B, S], or [S] for all batch rows. */
function checkTokens(value: unknown, batch: number, keys: number): Int32Array {
  const shared = typeTag(value) === "Int32Array" && (value as Int32Array).length === keys;
  return checkArray<Int32Array>(value, "tokens", "Int32Array", shared ? keys : batch * keys);
}

export function analyzeHeads(
  instance: Instance,
  weightsLike: TensorLike,
  optionsLike?: AnalyzeHeadsOptions,
): HeadStatistics[] {
  const staging = new Staging(instance);
  const weights = checkTensor(weightsLike, "weights");
  const rank = weights.shape.length;
  if (rank < 2 || rank > 4) throw invalidShape("weights", "[B, H, L, S], [H, L, S] or [L, S]", weights.shape);
  refuseEmpty(weights, "weights");
  const [batch, heads, queries, keys] = [...Array<number>(4 - rank).fill(1), ...weights.shape] as [
    number,
    number,
    number,
    number,
  ];
  const options = checkOptions(optionsLike, "analyzeHeads", [...visibilityOptionNames, "tokens"]);
  const visibility = checkVisibility(options, [batch, heads, queries, keys], staging);
  const tokens = options.tokens === undefined ? undefined : checkTokens(options.tokens, batch, keys);
  const tokensSlot = tokens && staging.input(tokens);
  const weightsSlot = staging.tensor(weights);
  const statisticsSlot = staging.output(heads * allNames.length);
  staging.place();
  staging.check(
    instance.engine.analyzeHeads(
      {
        batch,
        heads,
        queries,
        keys,
        weights: staging.pointer(weightsSlot),
        statistics: staging.pointer(statisticsSlot),
        tokens: staging.pointer(tokensSlot),
        tokensOfEachRow: tokensSlot !== undefined && tokensSlot.length === batch * keys,
      },
      ...visibilityArgument(visibility, staging),
    ),
  );
  const statistics = staging.read(statisticsSlot);
  const names = tokens === undefined ? statisticNames : allNames;
  return Array.from({ length: heads }, (_, h) => {
    const ofHead = statistics.subarray(h * allNames.length);
    return Object.fromEntries(names.map((name, n) => [name, ofHead[n]])) as unknown as HeadStatistics;
  });
}
