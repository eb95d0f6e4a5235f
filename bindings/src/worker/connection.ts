/** The connection of `headwise/worker` to its worker: every call settles, whatever becomes of it. */
import { transfer, wrap, type Remote } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

import { locate } from "../runtime/binaries.js";
import { invalidOption, isObject } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { checkLoadOptions } from "../load.js";
import { checkOnProgress, takeOptions } from "../base/long_work.js";
import { nodeBuiltin } from "../runtime/machine.js";
import type { Info } from "../runtime/types.js";
import type { Progress } from "../base/types.js";
import { copyArguments, sendable } from "./arguments.js";
import {
  remoteMark,
  type Host,
  type ProgressMessage,
  type RemoteReference,
  type Reply,
  type SentSource,
} from "./protocol.js";

export type NodeWorker = import("node:worker_threads").Worker;

function valueOf<T>(reply: Reply<T>): T {
  if ("value" in reply) return reply.value;
  const { code, message } = reply.error;
  throw code === undefined ? new Error(message) : new HeadwiseError(code, message);
}

function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption("signal", "an AbortSignal", signal);
  return signal;
}

/** References anywhere in what a call has returned. */
export function referencesIn(value: unknown): RemoteReference[] {
  if (!isObject(value) || ArrayBuffer.isView(value)) return [];
  if (remoteMark in value) return [value as unknown as RemoteReference];
  return Object.values(value).flatMap(referencesIn);
}

/** What may befall a request before its reply. */
interface Watch {
  readonly id: number; // of the call
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

export class Connection {
  readonly #worker: Worker | NodeWorker;
  readonly #host: Remote<Host>;
  readonly #rejections = new Set<(error: HeadwiseError) => void>();
  readonly #progress = new Map<number, (progress: Progress) => void>();
  #ended: HeadwiseError | undefined;
  #nextId = 0;

  constructor(worker: Worker | NodeWorker) {
    this.#worker = worker;
    const lost = (why: string) =>
      this.end(new HeadwiseError("worker-lost", `the worker that computes is gone: ${why}`));
    const take = (message: ProgressMessage | undefined) =>
      message && this.#progress.get(message.progressOf)?.(message.progress);
    if ("addEventListener" in worker) {
      worker.addEventListener("error", (event) => lost(event.message || "it could not start"));
      worker.addEventListener("message", ({ data }) => take(data as ProgressMessage));
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
      worker.on("message", take);
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
    const choice = await this.#request(() => this.#host.choose({ threads, simd }, lock));
    if (nodeBuiltin("node:worker_threads") === undefined && navigator.locks) {
      // Granted when the worker has died; browsers send no event for that.
      void navigator.locks.request(lock, () =>
        this.end(new HeadwiseError("worker-lost", "the worker that computes is gone: it was terminated")),
      );
    }
    const located = wasm === undefined ? undefined : locate(choice.binary, wasm);
    const source: SentSource = located instanceof URL ? located.href : located;
    return this.#request(() => this.#host.start(choice, source));
  }

  /** Copies the arguments of a call now; `send` sends it. */
  prepare(target: number, method: string, args: readonly unknown[]) {
    const { rest, taken } = takeOptions(args, ["signal", "onProgress"]);
    const signal = checkSignal(taken.signal);
    const onProgress = checkOnProgress(taken.onProgress);
    if (onProgress) rest.push({ ...(rest.pop() as object), onProgress: true }); // refused there by what has no progress
    const { copied, buffers } = copyArguments(rest, this);
    const id = this.#nextId++;
    const call = { id, target, method, args: copied };
    const send = () => this.#request(() => this.#host.call(transfer(call, buffers)), { id, signal, onProgress });
    return { signal, send };
  }

  /** Calls a method of the instance (target 0) or of an object. */
  async call(target: number, method: string, args: readonly unknown[]): Promise<unknown> {
    return this.prepare(target, method, args).send();
  }

  /** Sends a request; settles with its reply, or as soon as the worker is lost, disposed of, or the signal aborts. */
  #request<T>(send: () => Promise<Reply<T>>, { id, signal, onProgress }: Partial<Watch> = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      const aborted = () => new HeadwiseError("aborted", "the call was aborted", { cause: signal?.reason });
      if (signal?.aborted) return reject(aborted());
      const stop = (error: unknown) => {
        void this.#host.abort(id!);
        settle();
        reject(error);
      };
      const abort = () => stop(aborted());
      const settle = () => {
        signal?.removeEventListener("abort", abort);
        this.#progress.delete(id!);
        const first = this.#rejections.delete(reject);
        if (first && this.#rejections.size === 0) this.#setIdle(true);
        return first;
      };
      if (this.#rejections.size === 0) this.#setIdle(false);
      this.#rejections.add(reject);
      signal?.addEventListener("abort", abort);
      if (onProgress) {
        this.#progress.set(id!, (progress) => {
          try {
            onProgress(progress);
          } catch (error) {
            stop(error);
          }
        });
      }
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

  /** Frees an object in the worker. Never rejects. */
  async free(target: number): Promise<void> {
    if (!this.ended) await this.call(target, "dispose", []).catch(() => {});
  }

  /** Frees objects that came too late, for a call that was aborted. */
  #discard(value: unknown): void {
    for (const reference of referencesIn(value)) void this.free(reference[remoteMark]);
  }

  #setIdle(idle: boolean): void {
    if (!("unref" in this.#worker)) return;
    if (idle) this.#worker.unref();
    else this.#worker.ref();
  }
}

const isDataCloneError = (error: unknown) => error instanceof Error && error.name === "DataCloneError";
