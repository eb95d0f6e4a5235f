/** Attention weights times the size of what is attended to. */
import type { LongWork } from "../base/long_work.js";
import { readOptions } from "../base/options.js";
import type { Tensor, Tokens } from "../base/types.js";
import { counter } from "../heads/batches.js";
import { kvHeadsOf } from "../module/config.js";
import type { Instance } from "../runtime/instance.js";
import { attentionConfig } from "../transformer/config.js";
import { gramRoot } from "./folded.js";
import { checkTextModel, eachLayer, tokensFor } from "./model.js";
import { layerMatrices, ParameterReader } from "./weights.js";

export function* weighValues(
  instance: Instance,
  modelLike: unknown,
  tokensLike: Tokens,
  optionsLike?: object,
): LongWork<Tensor[]> {
  readOptions(optionsLike, "weighValues", {});
  const model = checkTextModel(modelLike, instance, "weighValues");
  const tokens = tokensFor(model, tokensLike, "tokens");
  const { batch: B, length: L } = tokens;
  const { layers: N, embedDim: E, headDim: D } = model.config;
  const step = counter(N);
  const reader = new ParameterReader(model);
  const weighed: Tensor[] = [];
  const capture = { weights: "probabilities", values: true } as const;
  for (const [n, { weights, values }] of eachLayer(model, tokens, capture, B * L * L)) {
    const own = attentionConfig(model.config, n);
    const { numHeads: H, numKvHeads: G } = own;
    const kvHeads = kvHeadsOf(own);
    const gates = model.attention(n).headGates;
    const roots = layerMatrices(model, n, reader).map(({ o }) => gramRoot(o, E));
    const result = { data: Float32Array.from(weights!.data), shape: weights!.shape };
    for (let b = 0; b < B; ++b) {
      for (const [h, root] of roots.entries()) {
        const g = kvHeads[h]!;
        const sizes = Float64Array.from({ length: L }, (_, j) => {
          const value = values!.data.subarray(((b * G + g) * L + j) * D, ((b * G + g) * L + j + 1) * D);
          let squares = 0;
          for (let i = 0; i < D; ++i) {
            let sum = 0;
            for (let d = i; d < D; ++d) sum += root[i * D + d]! * value[d]!;
            squares += sum * sum;
          }
          return Math.abs(gates[h]!) * Math.sqrt(squares);
        });
        const first = (b * H + h) * L * L;
        for (let k = 0; k < L * L; ++k) result.data[first + k]! *= sizes[k % L]!;
      }
    }
    weighed.push(result);
    yield step();
  }
  return weighed;
}
