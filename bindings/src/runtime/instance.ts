/** One running binary: its memory, the objects alive in it, and the way of a call's data in and out. */
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
const kAlignment = 64; // bytes
const kFourGiB = 2 ** 32;

export class Instance {
  readonly engine: Handle<Engine>;
  /** What must be freed before the engine goes. */
  readonly live = new Set<{ delete(): void }>();
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
    return this.#started.native.wasmMemory;
  }

  /** The error for a call that could not get memory; whatever the instance kept for calls is given back. */
  outOfMemory(bytes: number, what: string): HeadwiseError {
    if (!this.#disposed) this.#engine.releaseBuffers();
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
    this.#engine.delete();
    this.#started.endThreads();
    // A page that keeps the handle must not keep 4 GiB of address space with it.
    this.#started = undefined as never;
  }
}

/** Registers what must be freed, and frees it once. Apart from its owner's class, whose closures would keep the owner alive. */
export function freeing(instance: Instance, native: { delete(): void }): () => void {
  instance.live.add(native);
  return () => {
    if (!instance.live.delete(native)) return;
    native.delete();
    if (instance.live.size === 0) instance.engine.alive().releaseBuffers();
  };
}

/** What a call takes memory for. */
const contents = "inputs and results, and room to compute";

/** What a call reads: arrays, and tensors or masks, as large as they were when they were checked. */
type Input = TypedArray | { readonly data: TypedArray; readonly shape: readonly number[] };
type Inputs = Readonly<Record<string, Input | undefined>>;

/** The shapes of the floats that a call writes. */
type Outputs = Readonly<Record<string, readonly number[] | undefined>>;

/** Addresses by name: 0 of what was left out. */
export type Pointers<Names extends PropertyKey> = { readonly [Name in Names]: number };

/**
 * A native object, and the one way to it and to the memory that it computes in. `call` takes values: all that the caller gave
 * has been read by then, so nothing of the caller's (a getter that calls, disposes or fails) runs between the look whether the
 * object lives and the end of the call.
 */
export class Handle<N extends object> {
  #native: N | undefined;

  /** @param owner what the object is part of, and must not outlive */
  constructor(
    readonly instance: Instance,
    native: N,
    private readonly name: string,
    private readonly owner?: Handle<object>,
  ) {
    this.#native = native;
  }

  /** The native object, for what needs no memory. Throws where it was disposed. */
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

/** The array of an input, which must be as long as when it was checked: other arguments' getters may have taken its memory. */
function arrayOf(name: string, input: Input): TypedArray {
  if (!("data" in input)) return input;
  const [array, length] = [input.data, product(input.shape)];
  if (array.length === length) return array;
  throw new HeadwiseError("invalid-shape", `${name}: an array of ${length} elements has ${array.length} now`);
}

/** A call's data in WebAssembly memory: inputs are copied in once, results copied out once. Holds until the next call's. */
export class Staged<Names extends PropertyKey, O extends Outputs> {
  readonly pointers: Pointers<Names>;
  readonly #instance: Instance;
  readonly #shapes: O;
  #bytes = 0;

  constructor(instance: Instance, inputs: Inputs, outputs: O) {
    this.#instance = instance;
    this.#shapes = outputs;
    const pointers: Record<string, number> = {}; // from the block's start, until it has one
    const sources: { readonly array: TypedArray; readonly offset: number }[] = [];
    for (const name in inputs) {
      const input = inputs[name];
      if (input === undefined) continue;
      const array = arrayOf(name, input);
      let source = sources.find((other) => isSameMemory(other.array, array)); // which is copied once
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

  /** Writes words where a result would be. */
  write(name: Names, words: readonly number[]): void {
    new Uint32Array(this.#instance.memory.buffer, this.pointers[name], words.length).set(words);
  }

  /** Copies of the results of these names, but of those that were left out. */
  results<Name extends keyof O>(...names: readonly Name[]): Results<Pick<O, Name>> {
    const there = names.filter((name) => this.#shapes[name] !== undefined);
    return Object.fromEntries(there.map((name) => [name, this.#read(name)])) as Results<Pick<O, Name>>;
  }

  #read(name: keyof O): Tensor {
    const shape = this.#shapes[name]!;
    const floats = product(shape);
    try {
      // A copy and not a view: memory may be shared, and it moves when it grows. slice() would fill its copy with zeros
      // first, which takes half as long again.
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

/** Tensors by name, in the place of shapes. */
type Results<O extends Outputs> = {
  readonly [Name in keyof O as undefined extends O[Name] ? never : Name]: Tensor;
} & { readonly [Name in keyof O as undefined extends O[Name] ? Name : never]?: Tensor };
