/** What optimizers know of modules and transformers, apart from their public surface. */
import { freeing, type Instance } from "./instance.js";
import type { NativeMoments, NativeTrained } from "./native.js";

/** The moments of one module's gradients, by optimizer. */
export type Moments = Map<object, NativeMoments>;

export interface Trained {
  readonly instance: Instance;
  /** Throws where it was disposed. */
  alive(): NativeTrained;
  /** Its parameters have: what a forward pass has kept for `backward` is of no use. */
  changed(): void;
  /** The transformer that it is part of. */
  readonly owner: object | undefined;
  /** Freed with it, unless an optimizer has done so before. */
  readonly moments: Moments;
}

export const trained = new WeakMap<object, Trained>();

/** Registers natives and their moments to be freed together. Apart from their owner's class: see `freeing`. */
export function freeingTrained(
  instance: Instance,
  natives: readonly { delete(): void }[],
  moments: readonly Moments[],
): () => void {
  return freeing(instance, {
    delete() {
      for (const native of [...moments.flatMap((map) => [...map.values()]), ...natives]) native.delete();
      for (const map of moments) map.clear();
    },
  });
}

/** The same for an optimizer: its moments, in whatever modules they are. */
export function freeingMoments(instance: Instance, optimizer: object, moments: ReadonlySet<Moments>): () => void {
  return freeing(instance, {
    delete() {
      for (const map of moments) {
        map.get(optimizer)?.delete();
        map.delete(optimizer);
      }
    },
  });
}
