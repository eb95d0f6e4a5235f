/** One running binary: its memory, the objects alive in it, and the way of a call's data in and out. */
import type { Choice } from "./choose.js";
import { HeadwiseError } from "../base/errors.js";
import type { Engine } from "./native.js";
import type { Started } from "./start.js";
import { product } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";

/** The core's Status. */
const kOk = 0;
const kInvalidArgument = 1;
const kNoThreads = 3;
const kAlignment = 64; // bytes
const kFourGiB = 2 ** 32;

export class Instance {
  readonly engine: Engine;
  /** What must be freed before the engine goes. */
  readonly live = new Set<{ delete(): void }>();
  #started: Started;
  #disposed = false;

  constructor(started: Started, { threads, tileRows }: Choice) {
    this.#started = started;
    this.engine = new started.native.Engine(threads, tileRows);
    try {
      this.check(this.engine.status(), 0, `${threads} threads`);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  get memory(): WebAssembly.Memory {
    return this.#started.native.wasmMemory;
  }

  /** The error for a call that could not get memory; whatever the instance kept for calls is given back. */
  outOfMemory(bytes: number, what: string): HeadwiseError {
    this.engine.releaseBuffers();
    const size = `${Math.ceil(bytes / 2 ** 20)} MiB of ${what}`;
    return new HeadwiseError("out-of-memory", `could not get memory for ${size} (WebAssembly has 4 GiB at most)`);
  }

  /** Throws unless the core has reported success. `bytes` and `what`: the memory that was asked for. */
  check(status: number, bytes: number, what: string): void {
    if (status === kOk) return;
    if (status === kNoThreads) throw new HeadwiseError("unsupported", `threads: could not start ${what}`);
    if (status === kInvalidArgument) {
      throw new HeadwiseError(
        "invalid-option",
        `internal error: the core refuses a call with ${what}; please report it`,
      );
    }
    throw this.outOfMemory(bytes, what);
  }

  checkAlive(): void {
    if (this.#disposed) throw new HeadwiseError("disposed", "this Headwise instance was disposed");
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const object of this.live) object.delete();
    this.live.clear();
    this.engine.delete();
    this.#started.endThreads();
    // A page that keeps the handle must not keep 4 GiB of address space with it.
    this.#started = undefined as never;
  }
}

/** Registers what must be freed, and frees it once. Apart from its owner's class, whose closures would keep the owner alive. */
export function freeing(instance: Instance, native: { delete(): void }): () => void {
  instance.live.add(native);
  return () => {
    if (instance.live.delete(native)) native.delete();
  };
}

/** What a call takes memory for. */
const contents = "inputs and results, and room to compute";

/** What calls read. */
type Input = ArrayBufferView & { readonly length: number; readonly BYTES_PER_ELEMENT: number };

/** A piece of the staging block: a call's input or result. */
export interface Slot {
  readonly offset: number;
  readonly length: number;
}

/**
 * The way of one call's data: inputs and results are declared, then placed in one block of WebAssembly memory with one
 * copy each, and results are copied out once.
 */
export class Staging {
  #instance: Instance;
  #bytes = 0;
  #base = 0;
  #inputs = new Map<Input, Slot>();

  constructor(instance: Instance) {
    instance.checkAlive();
    this.#instance = instance;
  }

  /** An array that the call reads. The same array twice is copied once. */
  input(array: Input, length = array.length): Slot {
    let slot = this.#inputs.get(array);
    if (slot === undefined) {
      slot = this.#reserve(length * array.BYTES_PER_ELEMENT, length);
      this.#inputs.set(array, slot);
    }
    return slot;
  }

  /** A tensor that the call reads, as large as it was when it was checked. */
  tensor({ data, shape }: Tensor): Slot {
    return this.input(data, product(shape));
  }

  /** Floats that the call writes. */
  output(length: number): Slot {
    return this.#reserve(4 * length, length);
  }

  /** Copies the inputs in. From here on `pointer` holds, until the next call's staging. */
  place(): void {
    this.#instance.checkAlive(); // options may have had getters
    this.#base = this.#bytes >= kFourGiB ? 0 : this.#instance.engine.stage(this.#bytes);
    if (this.#base === 0) throw this.#instance.outOfMemory(this.#bytes, contents);
    const heap = new Uint8Array(this.#instance.memory.buffer);
    for (const [array, slot] of this.#inputs) {
      // Getters of later arguments may have done anything to the buffer.
      if (array.length !== slot.length) {
        throw new HeadwiseError("invalid-shape", `an array of ${slot.length} elements has ${array.length} now`);
      }
      if (slot.length === 0) continue; // its buffer may be detached
      heap.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), this.#base + slot.offset);
    }
  }

  /** Where a slot lies; 0 for none. */
  pointer(slot: Slot | undefined): number {
    return slot === undefined ? 0 : this.#base + slot.offset;
  }

  /** Writes where slots lie into a slot, after `place`. */
  writePointers(to: Slot, slots: readonly (Slot | undefined)[]): void {
    const pointers = Uint32Array.from(slots, (slot) => this.pointer(slot));
    new Uint32Array(this.#instance.memory.buffer, this.pointer(to), to.length).set(pointers);
  }

  /** Throws unless the core has reported success. */
  check(status: number): void {
    this.#instance.check(status, this.#bytes, contents);
  }

  /** A copy of a result. */
  read(slot: Slot): Float32Array {
    try {
      // A copy and not a view: memory may be shared, and it moves when it grows. slice() would fill its copy with zeros
      // first, which takes half as long again.
      return new Float32Array(new Float32Array(this.#instance.memory.buffer, this.pointer(slot), slot.length));
    } catch (error) {
      throw new HeadwiseError("out-of-memory", `no room for a result of ${slot.length} floats`, { cause: error });
    }
  }

  #reserve(bytes: number, length: number): Slot {
    const offset = this.#bytes;
    this.#bytes += Math.ceil(bytes / kAlignment) * kAlignment;
    return { offset, length };
  }
}
