/** What a forward pass captures of the layers. */
import { weightsStages } from "../attention/attention.js";
import { checkBoolean, checkInteger, oneOf, readList } from "../base/checks.js";
import { optional, withDefault, type Checked, type OptionTable } from "../base/options.js";
import type { Tensor } from "../base/types.js";
import { numberOfHeadOutput, returnTable } from "../module/multi_head_attention.js";
import { norms, normsOf, places, placeShape, type PlaceName } from "./places.js";
import type { Capture, CapturedLayer, ResolvedTransformerConfig } from "./types.js";

const streamPlaces = ["before", "middle", "after"] as const;

export const captureTable = {
  ...returnTable,
  layers: optional((value, name) => readList(value, name, "an array of layer indices")),
  queries: withDefault(checkBoolean, false),
  keys: withDefault(checkBoolean, false),
  values: withDefault(checkBoolean, false),
  attention: withDefault(checkBoolean, false),
  feedForward: withDefault(checkBoolean, false),
  normScales: withDefault(checkBoolean, false),
  stream: (value = [], name) =>
    new Set(
      readList(value, name, `an array of ${streamPlaces.join(", ")}`).map((each) => oneOf(streamPlaces)(each, name)),
    ),
} satisfies OptionTable<Capture>;

/** A checked capture: the results that it needs, and how they are passed to the core and back. */
export interface StagedCapture {
  /** Shapes by name; undefined of what is not captured. */
  readonly shapes: Readonly<Record<string, readonly number[] | undefined>>;
  /** Pointers of each layer: to weights, heads and the places. Empty if nothing is captured. */
  words(pointers: Readonly<Record<string, number>>): number[];
  readonly call: { readonly weightsStage: number; readonly headOutput: number };
  layers(read: Readonly<Record<string, Tensor | undefined>>): CapturedLayer[];
}

export function stageCapture(
  capture: Checked<typeof captureTable>,
  config: ResolvedTransformerConfig,
  leading: readonly number[],
  length: number,
): StagedCapture {
  const chosen = capture.layers?.map((layer) => checkInteger(layer, "capture.layers", 0, config.layers - 1));
  const layers = new Set(chosen ?? config.heads.keys());
  const wanted = places.filter(
    (place) => (place in capture && capture[place as "queries"] === true) || capture.stream.has(place as "before"),
  );
  const shapes: Record<string, readonly number[]> = {};
  for (const n of layers) {
    const add = (name: string, shape: readonly number[]) => (shapes[`${name} ${n}`] = [...leading, ...shape]);
    if (capture.weights) add("weights", placeShape(config, n, "weights", length));
    if (capture.heads === "values") add("heads", placeShape(config, n, "heads", length));
    if (capture.heads === "contributions") add("heads", [config.heads[n]!.length, length, config.embedDim]);
    const own = capture.normScales ? normsOf(config, n) : [];
    for (const place of [...wanted, ...own]) add(`at ${place}`, placeShape(config, n, place, length));
  }
  const names = ["weights", "heads", ...places.map((place) => `at ${place}`)];
  const isEmpty = Object.keys(shapes).length === 0;
  return {
    shapes,
    words: (pointers) =>
      isEmpty ? [] : config.heads.flatMap((_, n) => names.map((name) => pointers[`${name} ${n}`] ?? 0)),
    call: {
      weightsStage: weightsStages.indexOf(capture.weights ?? "probabilities"),
      headOutput: numberOfHeadOutput(capture.heads),
    },
    layers: (read) =>
      config.heads.map((_, n) => {
        const at = (place: PlaceName) => read[`at ${place} ${n}`];
        const some = (entries: readonly (readonly [string, Tensor | undefined])[]) =>
          Object.fromEntries(entries.filter(([, tensor]) => tensor !== undefined));
        const group = (name: string, of: readonly PlaceName[]) => {
          const tensors = some(of.map((place) => [place, at(place)]));
          return Object.keys(tensors).length > 0 && { [name]: tensors };
        };
        const inside = ["queries", "keys", "values", "attention", "feedForward"] as const;
        return {
          ...some([
            ["weights", read[`weights ${n}`]],
            ["heads", read[`heads ${n}`]],
            ...inside.map((place) => [place, at(place)] as const),
          ]),
          ...group("stream", streamPlaces),
          ...group("normScales", norms),
        };
      }),
  };
}
