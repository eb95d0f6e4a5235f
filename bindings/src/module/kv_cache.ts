/** Keys and values that a module remembers between calls. */
import { checkArray, checkInteger, checkOptions, invalidOption, maxExtent } from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { freeing, type Instance } from "../runtime/instance.js";
import type { NativeCache, NativeModule } from "../runtime/native.js";
import type { KvCache, ResolvedConfig } from "./types.js";

export class Cache implements KvCache {
  declare [Symbol.dispose]: () => void;
  readonly capacity: number;
  readonly #instance: Instance;
  readonly #module: NativeModule;
  readonly #free: () => void;
  #native: NativeCache | undefined;
  #length: Int32Array;

  constructor(instance: Instance, module: NativeModule, native: NativeCache, batch: number, capacity: number) {
    this.#instance = instance;
    this.#module = module;
    this.#native = native;
    this.capacity = capacity;
    this.#length = new Int32Array(batch);
    this.#free = freeing(instance, native);
    seal(this, this.#free);
  }

  get length(): Int32Array {
    this.#alive();
    return this.#length.slice();
  }

  reset(): void {
    this.#alive();
    this.#length = new Int32Array(this.#length.length);
  }

  /** Puts the length back to what it is now: nothing that is put behind the tokens changes these. */
  checkpoint(): () => void {
    const length = this.#length;
    return () => void (this.#length = length);
  }

  /**
   * What a call of the module with `tokens` new tokens a row means for the cache.
   * @param fresh [B], how many of them are valid; all, where it is left out
   * @returns the tokens before and after; `commit` is for when the call has succeeded
   */
  append(module: NativeModule, batch: number, tokens: number, fresh: unknown) {
    const native = this.#alive();
    if (module !== this.#module) throw new HeadwiseError("invalid-option", "cache: it belongs to another module");
    const before = this.#length;
    if (batch !== before.length) {
      throw new HeadwiseError(
        "invalid-shape",
        `query: expected a batch of ${before.length}, as cache has, got ${batch}`,
      );
    }
    const counts = fresh === undefined ? undefined : checkArray<Int32Array>(fresh, "keyLengths", "Int32Array", batch);
    const after = before.map((length, b) => {
      const count = counts === undefined ? tokens : counts[b]!;
      if (count < 0 || count > tokens) throw invalidOption("keyLengths", `new tokens from 0 to L = ${tokens}`, count);
      if (length + count > this.capacity) {
        throw new HeadwiseError(
          "invalid-option",
          `cache: ${length} tokens and ${count} new ones do not fit in its capacity of ${this.capacity}`,
        );
      }
      return length + count;
    });
    const keys = after.reduce((longest, length) => Math.max(longest, length), 0);
    return { native, before, after, keys, commit: () => void (this.#length = after) };
  }

  dispose(): void {
    this.#native = undefined;
    net.unregister(this);
    this.#free();
  }

  #alive(): NativeCache {
    this.#instance.checkAlive();
    if (this.#native === undefined) throw new HeadwiseError("disposed", "cache: it was disposed");
    return this.#native;
  }
}

/** Makes room for `capacity` tokens in each of `batch` rows. */
export function makeCache(
  instance: Instance,
  module: NativeModule,
  { numKvHeads, headDim, valueHeadDim }: ResolvedConfig,
  optionsLike: { batch: number; capacity: number } | undefined,
): Cache {
  const options = checkOptions(optionsLike, "cache", ["batch", "capacity"]);
  const batch = checkInteger(options.batch, "batch", 1, maxExtent);
  const capacity = checkInteger(options.capacity, "capacity", 1, maxExtent);
  const bytes = 4 * batch * (1 + capacity * numKvHeads * (headDim + valueHeadDim)); // 1: the row's length
  const native = bytes >= 2 ** 32 ? null : module.cache(batch, capacity);
  if (native === null) throw instance.outOfMemory(bytes, "keys and values");
  return new Cache(instance, module, native, batch, capacity);
}
