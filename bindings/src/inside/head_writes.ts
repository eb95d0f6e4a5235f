/** The logits that each head raises and lowers, on average over a text. */
import type { LongWork } from "../base/long_work.js";
import type { Progress } from "../base/types.js";
import type { Model } from "../transformer/transformer.js";
import type { CheckedTokens } from "../transformer/tokens.js";
import { centre, unembed, unembedSteps } from "./unembed.js";
import { eachLayer, rowOf } from "./model.js";
import type { HeadWrites, TokenLogit } from "./types.js";
import { ParameterReader } from "./weights.js";

/** Whether logits are an affine function of what heads write, once the divisors of the norms are given. */
export const hasDirectLogits = ({ config }: Model) =>
  config.head && !config.headTransform && config.normPlacement !== "after" && config.logitSoftcap === 0;

export const writeSteps = (model: Model) => {
  const heads = model.config.heads.flat().length;
  return model.config.layers + unembedSteps(model, heads + 1);
};

/** The `count` largest entries, or smallest. */
function extremes(logits: Float32Array, count: number, sign: 1 | -1): TokenLogit[] {
  const best: TokenLogit[] = [];
  logits.forEach((logit, token) => {
    if (best.length === count && sign * logit <= sign * best.at(-1)!.logit) return;
    const at = best.findIndex((other) => sign * other.logit < sign * logit);
    best.splice(at < 0 ? best.length : at, 0, { token, logit });
    best.length = Math.min(best.length, count);
  });
  return best;
}

/**
 * Of each head, layer by layer: its contributions to the residual stream, through the norms with their divisors as they are, as the mean
 * over the tokens, in logits that are centred over the vocabulary. `counts`: of each token, 0 for padding.
 */
export function* headWrites(
  model: Model,
  tokens: CheckedTokens,
  mask: CheckedTokens,
  top: number,
  step: () => Progress,
): LongWork<HeadWrites[]> {
  const { config } = model;
  const { embedDim: E, layers: N, vocabSize: V } = config;
  const reader = new ParameterReader(model);
  const options = { mask, logits: "none" } as const;
  const { normScale } = model.forward(tokens, { ...options, capture: { normScales: true, layers: [] } });
  const rows = Array.from(mask.data.keys()).filter((row) => mask.data[row] === 1);
  const means: Float32Array[] = [];
  const floats = tokens.data.length * E;
  const capture = { heads: "contributions", normScales: true } as const;
  for (const [n, { heads: captured, normScales }] of eachLayer(model, tokens, capture, floats, { mask })) {
    const heads = captured!;
    const [H, L] = heads.shape.slice(-3) as [number, number];
    const rowAt = (row: number, h: number) => rowOf(heads, (Math.floor(row / L) * H + h) * L + (row % L));
    const after = config.normPlacement === "both" ? reader.get(`layers.${n}.norm1_after.weight`) : undefined;
    const sums = Array.from({ length: H }, () => new Float64Array(E));
    for (const row of rows) {
      const scale = (normScale?.data[row] ?? 1) * (normScales?.norm1After?.data[row] ?? 1);
      sums.forEach((sum, h) => rowAt(row, h).forEach((value, e) => (sum[e]! += value / scale)));
    }
    for (const sum of sums) {
      const written = after ? centre(sum, config).map((value, e) => value * after[e]!) : sum;
      means.push(Float32Array.from(written, (value) => value / rows.length));
    }
    yield step();
  }
  const all = new Float32Array((means.length + 1) * E); // and a row of zeros, whose logits are those of the biases
  means.forEach((mean, n) => all.set(mean, n * E));
  const { logits, scales } = yield* unembed(model, all, step);
  const biases = logits.subarray(means.length * V);
  return means.map((_, n) => {
    const written = logits.slice(n * V, (n + 1) * V).map((value, v) => (value - biases[v]!) * scales[n]!);
    const middle = written.reduce((sum, value) => sum + value, 0) / V;
    const centred = written.map((value) => value - middle);
    return { raises: extremes(centred, top, 1), lowers: extremes(centred, top, -1) };
  });
}
