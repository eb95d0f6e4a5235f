/** The way from the residual stream to the logits: the last norm and the language head. */
import type { Model } from "../transformer/transformer.js";
import type { ResolvedTransformerConfig } from "../transformer/types.js";
import { unsupported } from "./model.js";

/** Rows of one call. */
const rowsAtOnce = 64;

/**
 * Logits [R, V] of rows [R, E] of the residual stream, each through the last norm and the language head: a forward pass in which they
 * replace the stream after the last layer.
 */
export function* unembed(model: Model, rows: Float32Array, step: () => { done: number; total: number }) {
  const { embedDim: E, vocabSize: V, contextLength, layers } = model.config;
  const count = rows.length / E;
  const all = new Float32Array(count * V);
  const most = Math.min(rowsAtOnce, contextLength);
  for (let first = 0; first < count; first += most) {
    const length = Math.min(most, count - first);
    const set = { data: rows.subarray(first * E, (first + length) * E), shape: [length, E] };
    const { logits } = model.forward(new Int32Array(length), { edits: [{ layer: layers - 1, at: "stream", set }] });
    all.set(logits!.data, first * V);
    yield step();
  }
  return all;
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

export type Centred = { readonly centred: Float64Array; readonly scale: number };

/** x less its mean (of layer norm alone), and the norm's divisor: sqrt(mean square + ε). */
export function centre(x: ArrayLike<number>, { norm, normEpsilon }: ResolvedTransformerConfig): Centred {
  const centred = Float64Array.from(x);
  if (norm === "layer") {
    const mean = centred.reduce((sum, value) => sum + value, 0) / centred.length;
    for (let e = 0; e < centred.length; ++e) centred[e]! -= mean;
  }
  const square = centred.reduce((sum, value) => sum + value * value, 0) / centred.length;
  return { centred, scale: Math.sqrt(square + normEpsilon) };
}
