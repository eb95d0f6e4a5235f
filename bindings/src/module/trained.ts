/** What optimizers use of modules and transformers beyond their public API. */
import { freeing, type Handle, type Instance } from "../runtime/instance.js";
import type { NativeMoments, NativeTrained } from "../runtime/native.js";

/** The moments of one module's gradients, and the number of their steps. */
export interface State {
  readonly native: NativeMoments;
  steps: number;
}

/** The states of one module by optimizer. The key is an object of the optimizer. */
export type Moments = Map<object, State>;

export interface Trained {
  readonly handle: Handle<NativeTrained>;
  /** To be called when parameters have changed: a tape of an earlier forward pass is then invalid. */
  changed(): void;
  /** The transformer that the module is part of. */
  readonly owner: object | undefined;
  /** Freed with the module, or earlier with the optimizer. */
  readonly moments: Moments;
}

export const trained = new WeakMap<object, Trained>();

/** Registers native objects and their moments to be freed together. Not a closure in the owner's class: see `freeing`. */
export function freeingTrained(
  instance: Instance,
  natives: readonly { delete(): void }[],
  moments: readonly Moments[],
): () => void {
  return freeing(instance, {
    delete() {
      for (const map of moments) {
        for (const { native } of map.values()) native.delete();
        map.clear();
      }
      for (const native of natives) native.delete();
    },
  });
}

/** The same for an optimizer: frees its moments in all modules. */
export function freeingMoments(instance: Instance, optimizer: object, moments: ReadonlySet<Moments>): () => void {
  return freeing(instance, {
    delete() {
      for (const map of moments) {
        map.get(optimizer)?.native.delete();
        map.delete(optimizer);
      }
    },
  });
}
