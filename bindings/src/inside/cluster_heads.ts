/** Groups of heads that attend alike. */
import { agnes, type Cluster } from "ml-hclust";

import { integer } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor, Tokens } from "../base/types.js";
import { counter, notMeasurable } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { checkTextModel, tokensFor } from "./model.js";
import type { ClusterHeadsOptions, HeadClusters, HeadIndex } from "./types.js";

const optionTable = { clusters: withDefault(integer(1), 8) } satisfies OptionTable<ClusterHeadsOptions>;

interface HeadMap extends HeadIndex {
  /** Weights [B · L, L], by query. */
  readonly rows: Float32Array;
  readonly entropies: Float64Array;
}

const entropy = (p: number) => (p > 0 ? -p * Math.log(p) : 0);

/** The entropy of each row of weights, or of the mean of two. */
function entropies(one: Float32Array, other: Float32Array, L: number): Float64Array {
  const sums = new Float64Array(one.length / L);
  for (let n = 0, row = 0; row < sums.length; ++row)
    for (let j = 0; j < L; ++j, ++n) sums[row]! += entropy((one[n]! + other[n]!) / 2);
  return sums;
}

function mapsOf(layers: readonly { readonly weights?: Tensor }[], columns: readonly (readonly number[])[]): HeadMap[] {
  return layers.flatMap(({ weights }, layer) => {
    const { data, shape } = weights!;
    const [B, H, L] = shape as [number, number, number];
    return columns[layer]!.map((head, h) => {
      const rows = new Float32Array(B * L * L);
      for (let b = 0; b < B; ++b) rows.set(data.subarray((b * H + h) * L * L, (b * H + h + 1) * L * L), b * L * L);
      return { layer, head, rows, entropies: entropies(rows, rows, L) };
    });
  });
}

export function* clusterHeads(
  instance: Instance,
  modelLike: unknown,
  tokensLike: Tokens,
  optionsLike?: ClusterHeadsOptions,
): LongWork<HeadClusters> {
  const options = readOptions(optionsLike, "clusterHeads", optionTable);
  const model = checkTextModel(modelLike, instance, "clusterHeads");
  const tokens = tokensFor(model, tokensLike, "tokens");
  const { layers } = model.forward(tokens, { capture: { weights: "probabilities" }, logits: "none" });
  const maps = mapsOf(layers, model.config.heads);
  const count = maps.length;
  const step = counter(count);
  const distances = { data: new Float32Array(count * count), shape: [count, count] };
  for (const [n, one] of maps.entries()) {
    for (const [m, other] of maps.slice(0, n).entries()) {
      const mean = entropies(one.rows, other.rows, tokens.length);
      const sum = mean.reduce((all, value, row) => all + value - (one.entropies[row]! + other.entropies[row]!) / 2, 0);
      const distance = Math.max(sum / mean.length, 0);
      distances.data[n * count + m] = distances.data[m * count + n] = distance;
    }
    yield step();
  }
  if (distances.data.some(Number.isNaN)) throw notMeasurable("attention weights are NaN");
  const heads = maps.map(({ layer, head }) => ({ layer, head }));
  if (count < 2) return { heads, distances, order: heads.map((_, n) => n), clusters: heads.map((_, n) => [n]) };
  const rows = heads.map((_, n) => Array.from(distances.data.subarray(n * count, (n + 1) * count)));
  const tree = agnes(rows, { method: "average", isDistanceMatrix: true });
  const leaves = (cluster: Cluster) => cluster.indices();
  return {
    ...{ heads, distances, order: leaves(tree) },
    clusters: tree.group(Math.min(options.clusters, count)).children.map(leaves),
  };
}
