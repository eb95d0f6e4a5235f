/** The way from the residual stream to the logits: the last norm and the language head. */
import type { Model } from "../transformer/transformer.js";
import type { ResolvedTransformerConfig } from "../transformer/types.js";
import { unsupported } from "./model.js";

/** Rows of one call. */
const rowsAtOnce = 64;

const capture = { normScales: true, layers: [] };

/**
 * Logits [R, V] of rows [R, E] of the residual stream, each through the last norm and the language head: a forward pass in which they
 * replace the stream after the last layer. And what the norm divides each by, [R]; 1 without one.
 */
export function* unembed(model: Model, rows: Float32Array, step: () => { done: number; total: number }) {
  const { embedDim: E, vocabSize: V, contextLength, layers } = model.config;
  const count = rows.length / E;
  const all = new Float32Array(count * V);
  const scales = new Float32Array(count).fill(1);
  const most = Math.min(rowsAtOnce, contextLength);
  for (let first = 0; first < count; first += most) {
    const length = Math.min(most, count - first);
    const set = { data: rows.subarray(first * E, (first + length) * E), shape: [length, E] };
    const edits = [{ layer: layers - 1, at: "stream", set }] as const;
    const { logits, normScale } = model.forward(new Int32Array(length), { edits, capture });
    all.set(logits!.data, first * V);
    if (normScale) scales.set(normScale.data, first);
    yield step();
  }
  return { logits: all, scales };
}

/** The number of steps that `unembed` takes. */
export const unembedSteps = ({ config }: Model, rows: number) =>
  Math.ceil(rows / Math.min(rowsAtOnce, config.contextLength));

/** Refuses models whose logits are no affine function of the stream once the scale of the last norm is given. */
export function refuseBentHead({ config }: Model, call: string): void {
  if (config.normPlacement === "after")
    throw unsupported(
      call,
      "the model has its norms after the sums (post-norm), so that its parts do not add up; expected norms before the layers",
    );
  if (config.headTransform)
    throw unsupported(
      call,
      "the model has a layer between its last norm and its logits (headTransform); expected none",
    );
}

/** x, with layer norm less its mean. */
export function centre(x: Float64Array, { norm }: ResolvedTransformerConfig): Float64Array {
  const mean = norm === "layer" ? x.reduce((sum, value) => sum + value, 0) / x.length : 0;
  return x.map((value) => value - mean);
}
