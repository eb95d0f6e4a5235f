/** What optimizers know of modules and transformers, apart from their public surface. */
import { freeing, type Handle, type Instance } from "../runtime/instance.js";
import type { NativeMoments, NativeTrained } from "../runtime/native.js";

/** The moments of one module's gradients, and how many steps have gone into them. */
export interface State {
  readonly native: NativeMoments;
  steps: number;
}

/** What optimizers keep of one module, each under a key of its own. */
export type Moments = Map<object, State>;

export interface Trained {
  readonly handle: Handle<NativeTrained>;
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
      for (const map of moments) {
        for (const { native } of map.values()) native.delete();
        map.clear();
      }
      for (const native of natives) native.delete();
    },
  });
}

/** The same for an optimizer: its moments, in whatever modules they are. */
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
