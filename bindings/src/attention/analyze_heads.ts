import { invalidShape, maxExtent } from "../base/checks.js";
import { optional, readOptions, type OptionTable } from "../base/options.js";
import { checkTensor } from "../base/tensor.js";
import { readTokens } from "../base/tokens.js";
import type { TensorLike } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import type { AnalyzeHeadsOptions, HeadStatistics } from "./types.js";
import { fitVisibility, visibilityArgument, visibilityTable } from "./visibility.js";

/** The members of the core's HeadStatistics, in its order. */
const statisticNames = ["entropy", "distance", "confidence", "first", "previous", "next", "self"] as const;
const tokenStatisticNames = ["duplicate", "induction"] as const;
const allNames = [...statisticNames, ...tokenStatisticNames] as const;

const optionTable = {
  ...visibilityTable,
  tokens: optional((value, name) => readTokens(value, name, -(2 ** 31), maxExtent)),
} satisfies OptionTable<AnalyzeHeadsOptions>;

/** [B, S], [S] for all batch rows, or all B · S in one row. */
function refuseOtherTokens(shape: readonly number[], batch: number, keys: number): void {
  const [length, rows = 1] = [...shape].reverse();
  const fits = shape.length === 1 ? length === keys || length === batch * keys : length === keys && rows === batch;
  if (shape.length > 2 || shape.length === 0 || !fits)
    throw invalidShape("tokens", `[B, S] = [${batch}, ${keys}] or [S] = [${keys}]`, shape);
}

export function analyzeHeads(
  instance: Instance,
  weightsLike: TensorLike,
  optionsLike?: AnalyzeHeadsOptions,
): HeadStatistics[] {
  const weights = checkTensor(weightsLike, "weights");
  const options = readOptions(optionsLike, "analyzeHeads", optionTable);
  const rank = weights.shape.length;
  if (rank < 2 || rank > 4) throw invalidShape("weights", "[B, H, L, S], [H, L, S] or [L, S]", weights.shape);
  const extents = [...Array<number>(4 - rank).fill(1), ...weights.shape] as [number, number, number, number];
  const [batch, heads, queries, keys] = extents;
  const visibility = fitVisibility(options, extents);
  const tokens = options.tokens?.data;
  if (options.tokens) refuseOtherTokens(options.tokens.shape, batch, keys);

  const statistics = instance.engine.call(
    { weights, tokens, ...visibility.inputs },
    { statistics: [heads, allNames.length] },
    (engine, staged) => {
      const tokensOfEachRow = tokens?.length === batch * keys;
      const call = { batch, heads, queries, keys, tokensOfEachRow, ...staged.pointers };
      staged.check(engine.analyzeHeads(call, ...visibilityArgument(visibility, staged.pointers)));
      return staged.results("statistics").statistics.data;
    },
  );
  const names = tokens === undefined ? statisticNames : allNames;
  return Array.from({ length: heads }, (_, h) => {
    const ofHead = statistics.subarray(h * allNames.length);
    return Object.fromEntries(names.map((name, n) => [name, ofHead[n]])) as unknown as HeadStatistics;
  });
}
