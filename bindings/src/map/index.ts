/** `<headwise-map>`: an attention map for pages, without the library. Importing it defines nothing; call `defineHeadwiseMap`. */
import { makeHeadwiseMap } from "./element.js";

export type { ForwardWeights, HeadwiseMap, MapCell, MappableModel } from "./types.js";

/** Defines the element, by default as `<headwise-map>`; a name that is taken stays what it is. For browsers. */
export function defineHeadwiseMap(name = "headwise-map"): void {
  if (!customElements.get(name)) customElements.define(name, makeHeadwiseMap());
}
