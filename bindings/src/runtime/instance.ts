/** One running binary: its memory, its live objects, and the copies of a call's data in and out. */
import type { Choice } from "./choose.js";
import { HeadwiseError } from "../base/errors.js";
import type { TypedArray } from "../base/kinds.js";
import type { Engine } from "./native.js";
import type { Started } from "./start.js";
import { isSameMemory, product } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";

/** The core's Status. */
const kOk = 0;
const kInvalidArgument = 1;
const kNoThreads = 3;
const kNotF32 = 4;
const kAlignment = 64; // bytes
const kFourGiB = 2 ** 32;

export class Instance {
  readonly engine: Handle<Engine>;
  /** Native objects that must be freed before the engine. */
  readonly live = new Set<{ delete(): void }>();
  /** `Headwise.groupHeads`, for models: its code is loaded on demand. In the worker it resolves to long work. */
  groupHeads!: (...args: unknown[]) => Promise<object>;
  #started: Started;
  #engine: Engine;
  #disposed = false;

  constructor(started: Started, { threads, tileRows }: Choice) {
    this.#started = started;
    this.#engine = new started.native.Engine(threads, tileRows);
    this.engine = new Handle(this, this.#engine, "engine");
    try {
      this.check(this.#engine.status(), 0, `${threads} threads`);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  get memory(): WebAssembly.Memory {
    return this.#started.memory;
  }

  /** The error for a failed allocation. Frees the buffers that the instance keeps between calls. */
  outOfMemory(bytes: number, what: string): HeadwiseError {
    if (!this.#disposed) this.#engine.releaseBuffers();
    const size = `${Math.ceil(bytes / 2 ** 20)} MiB of ${what}`;
    return new HeadwiseError("out-of-memory", `could not allocate ${size} (WebAssembly has at most 4 GiB)`);
  }

  /** Throws unless the core has reported success. `bytes` and `what` describe the requested memory. */
  check(status: number, bytes: number, what: string): void {
    if (status === kOk) return;
    if (status === kNoThreads) throw new HeadwiseError("unsupported", `threads: could not start ${what}`);
    if (status === kNotF32) {
      const message = 'gradients of weights need dtype "f32": convert({ dtype: "f32" }) makes such a copy';
      throw new HeadwiseError("unsupported", message);
    }
    if (status === kInvalidArgument) {
      throw new HeadwiseError(
        "invalid-option",
        `internal error: the core refused a call with ${what}; please report it`,
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
    this.#engine.delete();
    this.#started.endThreads();
    // A page may keep this object; it must not keep up to 4 GiB of address space alive.
    this.#started = undefined as never;
  }
}

/** Registers a native object and returns the function that frees it once. A closure in the owner's class would keep the owner alive. */
export function freeing(instance: Instance, native: { delete(): void }): () => void {
  instance.live.add(native);
  return () => {
    if (!instance.live.delete(native)) return;
    native.delete();
    if (instance.live.size === 0) instance.engine.alive().releaseBuffers();
  };
}

/** What a call needs memory for, in messages. */
const contents = "inputs, results and scratch";

/** What a call reads: arrays, tensors and masks, with their sizes as checked. */
type Input = TypedArray | { readonly data: TypedArray; readonly shape: readonly number[] };
type Inputs = Readonly<Record<string, Input | undefined>>;

/** The shapes of the float results that a call writes. */
type Outputs = Readonly<Record<string, readonly number[] | undefined>>;

/** Addresses by name. The address of an omitted input or result is 0. */
export type Pointers<Names extends PropertyKey> = { readonly [Name in Names]: number };

/**
 * A native object, and the only access to it and to the memory that it computes in. `call` takes values that have already been
 * read. So no code of the caller (a getter that calls, disposes or throws) runs between the check that the object is alive and
 * the end of the call.
 */
export class Handle<N extends object> {
  #native: N | undefined;

  /** @param owner the object that this one is part of and must not outlive */
  constructor(
    readonly instance: Instance,
    native: N,
    private readonly name: string,
    private readonly owner?: Handle<object>,
  ) {
    this.#native = native;
  }

  /** The native object, for calls without arrays. Throws if it was disposed. */
  alive(): N {
    this.instance.checkAlive();
    this.owner?.alive();
    if (this.#native === undefined) throw new HeadwiseError("disposed", `this ${this.name} was disposed`);
    return this.#native;
  }

  /** Places a call's inputs and results in one block of WebAssembly memory, and makes the call. */
  call<I extends Inputs, O extends Outputs, T>(
    inputs: I,
    outputs: O,
    work: (native: N, staged: Staged<keyof I | keyof O, O>) => T,
  ): T {
    return work(this.alive(), new Staged(this.instance, inputs, outputs));
  }

  end(): void {
    this.#native = undefined;
  }
}

/** The array of an input. Throws if its length has changed since it was checked: a getter of another argument may have detached it. */
function arrayOf(name: string, input: Input): TypedArray {
  if (!("data" in input)) return input;
  const [array, length] = [input.data, product(input.shape)];
  if (array.length === length) return array;
  throw new HeadwiseError(
    "invalid-shape",
    `${name}: its array had ${length} elements when it was checked and now has ${array.length}`,
  );
}

/** A call's data in WebAssembly memory. Inputs are copied in once, results are copied out once. Valid until the next call. */
export class Staged<Names extends PropertyKey, O extends Outputs> {
  readonly pointers: Pointers<Names>;
  readonly #instance: Instance;
  readonly #shapes: O;
  #bytes = 0;

  constructor(instance: Instance, inputs: Inputs, outputs: O) {
    this.#instance = instance;
    this.#shapes = outputs;
    const pointers: Record<string, number> = {}; // relative to the block until it is allocated
    const sources: { readonly array: TypedArray; readonly offset: number }[] = [];
    for (const name in inputs) {
      const input = inputs[name];
      if (input === undefined) continue;
      const array = arrayOf(name, input);
      let source = sources.find((other) => isSameMemory(other.array, array)); // copied only once
      if (source === undefined) sources.push((source = { array, offset: this.#reserve(array.byteLength) }));
      pointers[name] = source.offset;
    }
    for (const name in outputs) {
      const shape = outputs[name];
      if (shape !== undefined) pointers[name] = this.#reserve(4 * product(shape));
    }
    const base = this.#bytes >= kFourGiB ? 0 : instance.engine.alive().stage(this.#bytes);
    if (base === 0) throw instance.outOfMemory(this.#bytes, contents);
    const heap = new Uint8Array(instance.memory.buffer);
    for (const { array, offset } of sources)
      heap.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), base + offset);
    for (const name in inputs) pointers[name] = name in pointers ? base + pointers[name]! : 0;
    for (const name in outputs) pointers[name] = name in pointers ? base + pointers[name]! : 0;
    this.pointers = pointers as Pointers<Names>;
  }

  /** Throws unless the core has reported success. */
  check(status: number): void {
    this.#instance.check(status, this.#bytes, contents);
  }

  /** Writes words into the memory of a result. */
  write(name: Names, words: readonly number[]): void {
    new Uint32Array(this.#instance.memory.buffer, this.pointers[name], words.length).set(words);
  }

  /** Copies of the results with these names, without those that were omitted. */
  results<Name extends keyof O>(...names: readonly Name[]): Results<Pick<O, Name>> {
    const there = names.filter((name) => this.#shapes[name] !== undefined);
    return Object.fromEntries(there.map((name) => [name, this.#read(name)])) as Results<Pick<O, Name>>;
  }

  #read(name: keyof O): Tensor {
    const shape = this.#shapes[name]!;
    const floats = product(shape);
    try {
      // A copy, not a view: memory may be shared, and it moves when it grows. slice() would fill its copy with zeros first,
      // which takes 1.5 times as long.
      const view = new Float32Array(this.#instance.memory.buffer, this.pointers[name as unknown as Names], floats);
      return { data: new Float32Array(view), shape: [...shape] };
    } catch (error) {
      throw new HeadwiseError("out-of-memory", `no room for a result of ${floats} floats`, { cause: error });
    }
  }

  #reserve(bytes: number): number {
    const offset = this.#bytes;
    this.#bytes += Math.ceil(bytes / kAlignment) * kAlignment;
    return offset;
  }
}

/** Tensors by name, instead of shapes. */
type Results<O extends Outputs> = {
  readonly [Name in keyof O as undefined extends O[Name] ? never : Name]: Tensor;
} & { readonly [Name in keyof O as undefined extends O[Name] ? Name : never]?: Tensor };
