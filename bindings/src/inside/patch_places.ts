/** The places that can be patched: how they are captured, and what their maps have as axes. */
import { invalidOption, oneOf } from "../base/checks.js";
import type { Tensor } from "../base/types.js";
import type { PlaceName } from "../transformer/places.js";
import type { Model } from "../transformer/transformer.js";
import type { Capture, CapturedLayer } from "../transformer/types.js";
import type { CheckedTokens } from "../transformer/tokens.js";
import { headColumns, keyValueColumns, unknownTensor, type Columns } from "./model.js";
import type { PatchBy, PatchOptions } from "./types.js";

export type PatchAt = PatchOptions["at"];

interface PatchPlace {
  readonly capture: Capture;
  /** In the core. */
  readonly place: PlaceName;
  /** Which heads the place has; none: the whole layer. */
  readonly columns?: (config: Model["config"]) => Columns;
  readonly of: (layer: CapturedLayer) => Tensor;
}

const stream = (place: "before" | "middle" | "after"): PatchPlace => ({
  ...{ capture: { stream: [place] }, place },
  of: (layer) => layer.stream![place]!,
});

const patchPlaces: Readonly<Record<PatchAt, PatchPlace>> = {
  query: { capture: { queries: true }, place: "queries", columns: headColumns, of: (layer) => layer.queries! },
  key: { capture: { keys: true }, place: "keys", columns: keyValueColumns, of: (layer) => layer.keys! },
  value: { capture: { values: true }, place: "values", columns: keyValueColumns, of: (layer) => layer.values! },
  weights: {
    capture: { weights: "probabilities" },
    place: "weights",
    columns: headColumns,
    of: (layer) => layer.weights!,
  },
  heads: { capture: { heads: "values" }, place: "heads", columns: headColumns, of: (layer) => layer.heads! },
  attention: { capture: { attention: true }, place: "attention", of: (layer) => layer.attention! },
  feedForward: { capture: { feedForward: true }, place: "feedForward", of: (layer) => layer.feedForward! },
  before: stream("before"),
  middle: stream("middle"),
  stream: stream("after"),
};

export const checkAt = oneOf(Object.keys(patchPlaces) as PatchAt[]);

/** A place, and how finely it is patched. */
export class Grid {
  readonly place: PlaceName;
  readonly byHead: boolean;
  readonly byToken: boolean;
  readonly #place: PatchPlace;
  readonly #columns: Columns | undefined;
  readonly #length: number;
  readonly #model: Model;

  constructor(model: Model, at: PatchAt, by: PatchBy, { length }: CheckedTokens) {
    this.#place = patchPlaces[at];
    this.place = this.#place.place;
    this.#columns = this.#place.columns?.(model.config);
    if (by !== "token" && this.#columns === undefined) throw invalidOption("by", `"token", at "${at}"`, by);
    this.byHead = by !== "token";
    this.byToken = by !== "head";
    this.#length = length;
    this.#model = model;
  }

  /** What is at the place in each layer, of inputs of one shape, which run as one batch. */
  capture(...inputs: readonly CheckedTokens[]): Tensor[][] {
    const { batch, length } = inputs[0]!;
    const tokens = Int32Array.from(inputs.flatMap(({ data }) => [...data]));
    const rows = { data: tokens, shape: [inputs.length * batch, length] };
    const { layers } = this.#model.forward(rows, { capture: this.#place.capture, logits: "none" });
    return inputs.map((_, n) =>
      layers.map(this.#place.of).map(({ data, shape }) => {
        const size = data.length / inputs.length;
        return { data: data.subarray(n * size, (n + 1) * size), shape: [batch, ...shape.slice(1)] };
      }),
    );
  }

  /** [N, H], [N, L] or [N, L, H]; NaN of heads that were pruned. */
  map(): Tensor {
    const layers = this.#model.config.layers;
    return unknownTensor(
      layers,
      ...(this.byToken ? [this.#length] : []),
      ...(this.byHead ? [this.#columns!.count] : []),
    );
  }

  /** Each element of the map: its layer, the head (an index among those that are left) and the token, and where it is in the map. */
  *cells(): Generator<{ layer: number; head: number | undefined; token: number | undefined; at: number }, void, void> {
    const tokens = this.byToken ? Array.from({ length: this.#length }, (_, i) => i) : [undefined];
    for (let layer = 0; layer < this.#model.config.layers; ++layer) {
      const columns = this.byHead ? this.#columns!.of[layer]! : [undefined];
      const count = this.byHead ? this.#columns!.count : 1;
      for (const token of tokens)
        for (const [head, column] of columns.entries())
          yield {
            ...{ layer, token, head: this.byHead ? head : undefined },
            at: (layer * tokens.length + (token ?? 0)) * count + (column ?? 0),
          };
    }
  }
}
