/** The gradients of a logit difference at a place of each layer: one pass forward, one back. */
import type { Tensor } from "../base/types.js";
import { callModel } from "../transformer/call.js";
import { checkInput } from "../transformer/input.js";
import { places, placeShape, type PlaceName } from "../transformer/places.js";
import { handleOf } from "../transformer/raw_parameters.js";
import type { CheckedTokens } from "../transformer/tokens.js";
import type { Model } from "../transformer/transformer.js";
import type { CheckedDifference } from "./metric.js";

/** The difference, and its gradients: of each layer a tensor in the shape of what is captured there. */
export function differentiate(
  model: Model,
  tokens: CheckedTokens,
  { position, answer, against }: CheckedDifference,
  place: PlaceName,
): { value: number; gradients: Tensor[] } {
  const { config } = model;
  const handle = handleOf(model);
  const input = checkInput(tokens, {}, config);
  const rows = new Int32Array(tokens.batch).fill(position);
  const layers = config.heads.map((_, n) => `gradient ${n}`);
  const shapes = Object.fromEntries(
    layers.map((name, n) => [name, [...input.leading, ...placeShape(config, n, place, tokens.length)]]),
  );
  const outputs = { ...shapes, table: [layers.length * places.length] };
  return callModel(handle, config, input, { rows, answer, against }, outputs, (native, call, staged) => {
    const at = (name: string) => staged.pointers[name]!;
    const words = layers.flatMap((name) => places.map((each) => (each === place ? at(name) : 0)));
    staged.write("table", words);
    const { status, value } = native.differentiate(call, at("rows"), at("answer"), at("against"), at("table"));
    staged.check(status);
    const read: Readonly<Record<string, Tensor | undefined>> = staged.results(...layers);
    return { value, gradients: layers.map((name) => read[name]!) };
  });
}
