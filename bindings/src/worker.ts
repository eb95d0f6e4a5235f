/** Headwise off the calling thread: the surface of `load`, with promises. */
import { transfer, wrap, type Remote } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

import { locate } from "./binaries.js";
import { checkOptions, copyOfArray, invalidOption, isObject, namesOf, typeTag } from "./checks.js";
import { makeDisposable, type NotYetDisposable } from "./disposable.js";
import { HeadwiseError } from "./errors.js";
import { checkLoadOptions } from "./load.js";
import { nodeBuiltin } from "./machine.js";
import { isTensorLike } from "./tensor.js";
import type { Info, WorkerHeadwise, WorkerKvCache, WorkerLoadOptions, WorkerMultiHeadAttention } from "./types.js";
import type { Host, RemoteCache, RemoteModule, Reply, SentSource } from "./worker_protocol.js";

export * from "./index.js";

type NodeWorker = import("node:worker_threads").Worker;

function makeWorker(): Worker | NodeWorker {
  const threads = nodeBuiltin("node:worker_threads");
  if (threads === undefined) return new Worker(new URL("./worker-host.js", import.meta.url), { type: "module" });
  // No execArgv: a program run with --input-type or a loader would break or slow the worker.
  return new threads.Worker(new URL("./worker-host.js", import.meta.url), { execArgv: [] });
}

/** The `worker` option, or the worker that it makes. */
function checkWorker(given: unknown): Worker | NodeWorker {
  const worker: unknown = typeof given === "function" ? (given as () => unknown)() : given;
  if (!isObject(worker) || typeof worker.postMessage !== "function" || typeof worker.terminate !== "function") {
    throw invalidOption("worker", "a Worker, or a function that makes one", worker);
  }
  if (worker.threadId === -1) throw new HeadwiseError("worker-lost", "worker: it has ended already"); // in Node
  return worker as unknown as Worker;
}

/** Objects that live in a worker, and their numbers there. */
const targets = new WeakMap<object, { connection: Connection; target: number }>();

/** Of plain arrays: shapes, heads. A sparse one may claim many more, and engines would walk through them all. */
const maxElements = 2 ** 20;

/** A deep copy of arguments, in a form that `to` can send. `copies`: of each array, to be transferred. */
function copyOf(value: unknown, copies: Map<unknown, ArrayBufferView>, to: Connection): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    if (!copies.has(value)) {
      // Of the view alone: sending it would copy its whole buffer. A detached one has nothing left to copy.
      const empty = value.byteLength === 0;
      const Type = globalThis[typeTag(value) as "Float32Array"];
      copies.set(value, empty ? new Type(0) : copyOfArray(value));
    }
    return copies.get(value);
  }
  if (Array.isArray(value)) {
    if (value.length > maxElements) {
      const given = `got one of ${value.length}`;
      throw new HeadwiseError("invalid-shape", `expected plain arrays of at most ${maxElements} elements, ${given}`);
    }
    return Array.from(value, (element) => copyOf(element, copies, to));
  }
  if (!isObject(value)) return value;
  const remote = targets.get(value);
  if (remote !== undefined) {
    if (remote.connection === to) return { target: remote.target };
    throw new HeadwiseError("invalid-option", "cache: it belongs to another Headwise instance");
  }
  if (isTensorLike(value)) {
    const { data, shape, dims } = value as { data: unknown; shape?: unknown; dims?: unknown };
    return { data: copyOf(data, copies, to), shape: copyOf(shape ?? dims, copies, to) };
  }
  return Object.fromEntries(namesOf(value).map((name) => [name, copyOf(value[name], copies, to)]));
}

/** Takes `signal` out of the options, which come last. */
function takeSignal(args: readonly unknown[]): { rest: unknown[]; signal: AbortSignal | undefined } {
  const last = args.at(-1);
  if (!isObject(last) || isTensorLike(last) || last.signal === undefined) return { rest: [...args], signal: undefined };
  const { signal } = last;
  if (!(signal instanceof AbortSignal)) throw invalidOption("signal", "an AbortSignal", signal);
  const names = namesOf(last).filter((name) => name !== "signal");
  return { rest: [...args.slice(0, -1), Object.fromEntries(names.map((name) => [name, last[name]]))], signal };
}

function valueOf<T>(reply: Reply<T>): T {
  if ("value" in reply) return reply.value;
  const { code, message } = reply.error;
  throw code === undefined ? new Error(message) : new HeadwiseError(code, message);
}

/** The connection to one worker: every call settles, whatever becomes of it. */
class Connection {
  readonly #worker: Worker | NodeWorker;
  readonly #host: Remote<Host>;
  readonly #rejections = new Set<(error: HeadwiseError) => void>();
  #ended: HeadwiseError | undefined;
  #nextId = 0;

  constructor(worker: Worker | NodeWorker) {
    this.#worker = worker;
    const lost = (why: string) =>
      this.end(new HeadwiseError("worker-lost", `the worker that computes is gone: ${why}`));
    if ("addEventListener" in worker) {
      worker.addEventListener("error", (event) => lost(event.message || "it could not start"));
      // A busy worker outlives terminate(), and so does its lock: 2 s in Chromium, in WebKit until its call is over.
      const terminate = worker.terminate.bind(worker);
      worker.terminate = () => {
        terminate();
        lost("it was terminated");
      };
      this.#host = wrap<Host>(worker);
    } else {
      worker.on("error", (error) => lost(String(error)));
      worker.on("exit", () => lost("it ended"));
      worker.unref(); // an idle worker keeps no program alive
      this.#host = wrap<Host>(nodeEndpoint(worker));
    }
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Chooses and starts the binary. */
  async load(options: ReturnType<typeof checkLoadOptions>): Promise<Info> {
    const lock = `headwise-${Date.now()}-${Math.random()}`;
    const { threads, simd, wasm } = options;
    const choice = await this.request(() => this.#host.choose({ threads, simd }, lock));
    if (nodeBuiltin("node:worker_threads") === undefined && navigator.locks) {
      // Granted when the worker has died; browsers send no event for that.
      void navigator.locks.request(lock, () =>
        this.end(new HeadwiseError("worker-lost", "the worker that computes is gone: it was terminated")),
      );
    }
    const located = wasm === undefined ? undefined : locate(choice.binary, wasm);
    const source: SentSource = located instanceof URL ? located.href : located;
    return this.request(() => this.#host.start(choice, source));
  }

  /** Calls a method of the instance (target 0) or of a module. */
  async call(target: number, method: string, args: readonly unknown[]): Promise<unknown> {
    const { rest, signal } = takeSignal(args);
    const copies = new Map<unknown, ArrayBufferView>();
    let copied: unknown[];
    try {
      copied = rest.map((argument) => copyOf(argument, copies, this));
    } catch (error) {
      throw sendable(error);
    }
    const call = { id: this.#nextId++, target, method, args: copied };
    const buffers = [...copies.values()].map(({ buffer }) => buffer as ArrayBuffer);
    return this.request(
      () => this.#host.call(transfer(call, buffers)),
      signal,
      () => void this.#host.abort(call.id),
    );
  }

  /** Sends a request; settles with its reply, or as soon as the worker is lost, disposed of, or the signal aborts. */
  request<T>(send: () => Promise<Reply<T>>, signal?: AbortSignal, onAbort?: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      const aborted = () => new HeadwiseError("aborted", "the call was aborted", { cause: signal?.reason });
      if (signal?.aborted) return reject(aborted());
      const abort = () => {
        onAbort?.();
        settle();
        reject(aborted());
      };
      const settle = () => {
        signal?.removeEventListener("abort", abort);
        const first = this.#rejections.delete(reject);
        if (first && this.#rejections.size === 0) this.#setIdle(true);
        return first;
      };
      if (this.#rejections.size === 0) this.#setIdle(false);
      this.#rejections.add(reject);
      signal?.addEventListener("abort", abort);
      send()
        .then(valueOf)
        .then(
          (value) => (settle() ? resolve(value) : this.#discard(value)),
          (error: unknown) => settle() && reject(isDataCloneError(error) ? sendable(error) : error),
        );
    });
  }

  /** Ends the worker; whatever is pending, and whatever comes later, rejects with `error`. */
  end(error: HeadwiseError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    void this.#worker.terminate();
    for (const reject of this.#rejections) reject(error);
    this.#rejections.clear();
  }

  /** Frees a module or cache that came too late, for a call that was aborted. */
  #discard(value: unknown): void {
    if (this.ended || !isObject(value) || typeof value.target !== "number") return;
    this.call(value.target, "dispose", []).catch(() => {});
  }

  #setIdle(idle: boolean): void {
    if (!("unref" in this.#worker)) return;
    if (idle) this.#worker.unref();
    else this.#worker.ref();
  }
}

const isDataCloneError = (error: unknown) => error instanceof Error && error.name === "DataCloneError";

/** What cannot be copied or cloned (functions, cycles) is an argument of a wrong type. */
function sendable(error: unknown): unknown {
  if (error instanceof HeadwiseError || !(error instanceof Error)) return error;
  return new HeadwiseError("invalid-option", `an argument cannot be sent to the worker: ${error.message}`, {
    cause: error,
  });
}

/** Frees objects in the worker that were never disposed. A net, not a plan. */
const net = new FinalizationRegistry<() => Promise<void>>((free) => void free());

/** Outside of `remoteObject`, whose closures would keep the object alive. */
function freeing(connection: Connection, target: number): () => Promise<void> {
  return async () => {
    if (!connection.ended) await connection.call(target, "dispose", []).catch(() => {});
  };
}

type CallMethod = (method: string, args: readonly unknown[]) => Promise<unknown>;

/** An object that lives in the worker, and its way to be disposed of. */
function remoteObject<T extends { dispose(): Promise<void> }>(
  connection: Connection,
  { target, kind }: { target: number; kind: string },
  members: (call: CallMethod) => object,
): T {
  let disposed = false;
  const free = freeing(connection, target);
  const object = makeDisposable({
    ...members(async (method, args) => {
      if (disposed && !connection.ended) throw new HeadwiseError("disposed", `this ${kind} was disposed`);
      return connection.call(target, method, args);
    }),
    async dispose() {
      if (disposed) return;
      disposed = true;
      net.unregister(object);
      await free();
    },
  });
  targets.set(object, { connection, target });
  net.register(object, free, object);
  return object as unknown as T;
}

function remoteModule(connection: Connection, remote: RemoteModule): WorkerMultiHeadAttention {
  const { config, numHeads, parameterCount, keptHeads } = remote;
  return remoteObject(connection, remote, (call) => ({
    config: Object.freeze(config),
    numHeads,
    parameterCount,
    keptHeads: Object.freeze(keptHeads),
    getHeadGates: (...args: unknown[]) => call("headGates", args),
    setHeadGates: (...args: unknown[]) => call("setHeadGates", args),
    forward: (...args: unknown[]) => call("forward", args),
    backward: (...args: unknown[]) => call("backward", args),
    gradients: (...args: unknown[]) => call("gradients", args),
    zeroGradients: (...args: unknown[]) => call("zeroGradients", args),
    parameters: (...args: unknown[]) => call("parameters", args),
    setParameters: (...args: unknown[]) => call("setParameters", args),
    prune: async (...args: unknown[]) => remoteModule(connection, (await call("prune", args)) as RemoteModule),
    cache: async (...args: unknown[]) => remoteCache(connection, (await call("cache", args)) as RemoteCache),
  }));
}

function remoteCache(connection: Connection, remote: RemoteCache): WorkerKvCache {
  return remoteObject(connection, remote, (call) => ({
    capacity: remote.capacity,
    getLength: (...args: unknown[]) => call("length", args),
    reset: (...args: unknown[]) => call("reset", args),
  }));
}

/** Loads Headwise in a worker of its own. */
export async function load(optionsLike?: WorkerLoadOptions): Promise<WorkerHeadwise> {
  const { worker: given, ...rest } = checkOptions(optionsLike, "load", ["threads", "simd", "wasm", "worker"]);
  const options = checkLoadOptions(rest);
  const connection = new Connection(given === undefined ? makeWorker() : checkWorker(given));
  try {
    const info = await connection.load(options);
    return makeDisposable<NotYetDisposable<WorkerHeadwise>>({
      info: Object.freeze(info),
      memory: (...args) => connection.call(0, "memory", args) as never,
      attention: (...args) => connection.call(0, "attention", args) as never,
      rotaryEmbedding: (...args) => connection.call(0, "rotaryEmbedding", args) as never,
      analyzeHeads: (...args) => connection.call(0, "analyzeHeads", args) as never,
      multiHeadAttention: async (...args) =>
        remoteModule(connection, (await connection.call(0, "multiHeadAttention", args)) as RemoteModule),
      async dispose() {
        connection.end(new HeadwiseError("disposed", "this Headwise instance was disposed"));
      },
    });
  } catch (error) {
    connection.end(new HeadwiseError("disposed", "this Headwise instance could not be loaded"));
    throw error;
  }
}
