import { checkOptions, invalidShape } from "./checks.js";
import { Staging, type Instance } from "./instance.js";
import { checkTensor, refuseEmpty } from "./tensor.js";
import type { AnalyzeHeadsOptions, HeadStatistics, TensorLike } from "./types.js";
import { checkVisibility, visibilityArgument, visibilityOptionNames } from "./visibility.js";

/** Floats of the core's HeadStatistics, in its order. */
const statisticNames = ["entropy", "distance"] as const;

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
  const options = checkOptions(optionsLike, "analyzeHeads", [...visibilityOptionNames]);
  const visibility = checkVisibility(options, [batch, heads, queries, keys], staging);
  const weightsSlot = staging.tensor(weights);
  const statisticsSlot = staging.output(heads * statisticNames.length);
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
      },
      ...visibilityArgument(visibility, staging),
    ),
  );
  const statistics = staging.read(statisticsSlot);
  return Array.from({ length: heads }, (_, h) => {
    const [entropy, distance] = statistics.subarray(h * statisticNames.length);
    return { entropy: entropy!, distance: distance! };
  });
}
