/** What optimizers know of modules and transformers, apart from their public surface. */
import type { Instance } from "./instance.js";
import type { NativeTrained } from "./native.js";

export interface Trained {
  readonly instance: Instance;
  /** Throws where it was disposed. */
  alive(): NativeTrained;
  /** The transformer that it is part of. */
  readonly owner: object | undefined;
}

export const trained = new WeakMap<object, Trained>();
