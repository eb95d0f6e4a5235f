/** A key/value cache: keys and values that a module keeps between calls. */
import { integer, invalidOption, refuseOtherLength } from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { readOptions } from "../base/options.js";
import { freeing, Handle } from "../runtime/instance.js";
import type { NativeCache, NativeModule } from "../runtime/native.js";
import type { KvCache, ResolvedConfig } from "./types.js";

export class Cache implements KvCache {
  declare [Symbol.dispose]: () => void;
  readonly capacity: number;
  readonly #module: Handle<NativeModule>;
  readonly #handle: Handle<NativeCache>;
  readonly #free: () => void;
  #length: Int32Array;

  constructor(module: Handle<NativeModule>, native: NativeCache, batch: number, capacity: number) {
    this.#module = module;
    this.#handle = new Handle(module.instance, native, "cache");
    this.capacity = capacity;
    this.#length = new Int32Array(batch);
    this.#free = freeing(module.instance, native);
    seal(this, this.#free);
  }

  /** Not by `instanceof`: objects may inherit from a cache and be none. */
  static check(this: void, value: unknown, name: string): Cache {
    if (isObject(value) && #handle in value) return value as unknown as Cache;
    throw invalidOption(name, "a cache made by the module's cache()", value);
  }

  get length(): Int32Array {
    this.#handle.alive();
    return this.#length.slice();
  }

  reset(): void {
    this.#handle.alive();
    this.#length = new Int32Array(this.#length.length);
  }

  /** Returns a function that restores the current lengths. That is enough to undo a call, because it only appends. */
  checkpoint(): () => void {
    const length = this.#length;
    return () => void (this.#length = length);
  }

  /**
   * Prepares a call of the module with `tokens` new tokens per row.
   * @param fresh [B], how many of them are valid. Default: all
   * @returns the lengths before and after, and `commit`, to be called when the call has succeeded
   */
  append(module: Handle<NativeModule>, batch: number, tokens: number, fresh: Int32Array | undefined) {
    module.alive();
    const native = this.#handle.alive();
    if (module !== this.#module) throw new HeadwiseError("invalid-option", "cache: it belongs to another module");
    const before = this.#length;
    if (batch !== before.length) {
      throw new HeadwiseError(
        "invalid-shape",
        `query: expected a batch of ${before.length}, as cache has, got ${batch}`,
      );
    }
    if (fresh) refuseOtherLength(fresh, "keyLengths", batch);
    const after = before.map((length, b) => {
      const count = fresh === undefined ? tokens : fresh[b]!;
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
    this.#handle.end();
    net.unregister(this);
    this.#free();
  }
}

const optionTable = { batch: integer(1), capacity: integer(1) };

/** Makes room for `capacity` tokens in each of `batch` rows. */
export function makeCache(
  module: Handle<NativeModule>,
  { numKvHeads, headDim, valueHeadDim }: ResolvedConfig,
  optionsLike: { batch: number; capacity: number } | undefined,
): Cache {
  const { batch, capacity } = readOptions(optionsLike, "cache", optionTable);
  const bytes = 4 * batch * (1 + capacity * numKvHeads * (headDim + valueHeadDim)); // 1: the row's length
  const native = module.alive();
  const cache = bytes >= 2 ** 32 ? null : native.cache(batch, capacity);
  if (cache === null) throw module.instance.outOfMemory(bytes, "keys and values");
  return new Cache(module, cache, batch, capacity);
}
