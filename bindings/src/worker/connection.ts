/** The connection of `headwise/worker` to its worker. Every call settles, even if the worker dies. */
import { transfer, wrap, type Remote } from "comlink";

import { HeadwiseError } from "../base/errors.js";
import { isObject, typeTag } from "../base/kinds.js";
import { optional, type Checked } from "../base/options.js";
import type { loadTable } from "../runtime/load_options.js";
import { checkOnProgress, takeOptions } from "../base/long_work.js";
import { aborted, checkSignal, onAbort } from "../base/signals.js";
import type { Progress } from "../base/types.js";
import { startChosen, ThreadsRefused, type Choice } from "../runtime/choose.js";
import type { Stage } from "../runtime/limit.js";
import { compile, locate, type Source } from "../runtime/sources.js";
import type { NodeWorker } from "../runtime/threads.js";
import type { Info } from "../runtime/types.js";
import { copyArguments, sendable } from "./arguments.js";
import { Peer } from "./peer.js";
import {
  remoteMark,
  type Host,
  type ProgressMessage,
  type RemoteReference,
  type Reply,
  type SentSource,
} from "./protocol.js";

function valueOf<T>(reply: Reply<T>): T {
  if ("value" in reply) return reply.value;
  const { code, message } = reply.error;
  throw code === undefined ? new Error(message) : new HeadwiseError(code, message);
}

/** All references in a call's result. */
export function referencesIn(value: unknown): RemoteReference[] {
  if (!isObject(value) || ArrayBuffer.isView(value)) return [];
  if (remoteMark in value) return [value as unknown as RemoteReference];
  return Object.values(value).flatMap(referencesIn);
}

/** What to watch while a request is pending. */
interface Watch {
  readonly id: number; // of the call
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

/** A worker. `name`: in messages. `given`: the user supplied it, so it may run other code. `shared`: the user may keep a reference to it. */
export interface WorkerToUse {
  readonly worker: Worker | NodeWorker;
  readonly name: string;
  readonly given: boolean;
  readonly shared: boolean;
}

/** What reads text and images for a model that was opened, and for those that were pruned from it. */
export interface Reading {
  /** The members of a model that read, around those of the model in the worker. */
  readonly membersOf: (model: object) => object;
  /** How many of these models there are. */
  models: number;
}

/** Kept as long as the worker, because Comlink makes the worker stop listening when a proxy is collected. */
const hosts = new WeakMap<object, Remote<Host>>();

export class Connection {
  readonly #peer: Peer;
  readonly #use: WorkerToUse;
  readonly #host: Remote<Host>;
  /** What opened models have on this side, by their keys. */
  readonly reading = new Map<number, Reading>();
  readonly #rejections = new Set<(error: HeadwiseError) => void>();
  readonly #progress = new Map<number, (progress: never) => void>();
  #ended: HeadwiseError | undefined;
  #nextId = 0;

  constructor(use: WorkerToUse) {
    this.#use = use;
    this.#peer = new Peer(use.worker, use.given, {
      message: (data) => {
        const { progressOf, progress } = (data ?? {}) as Partial<ProgressMessage>;
        this.#progress.get(progressOf!)?.(progress as never);
      },
      lost: (why) => this.#lost(why),
    });
    this.#host = hosts.get(use.worker) ?? wrap<Host>(this.#peer.endpoint);
    hosts.set(use.worker, this.#host);
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  #lost(why: string): void {
    this.end(new HeadwiseError("worker-lost", `${this.#use.name} is gone: ${why}`));
  }

  /** Chooses and starts the binary. `analyses`: the address of worker-analyses.js. */
  load(options: Checked<typeof loadTable>, analyses: string, stage: Stage): Promise<Info> {
    const { threads, simd, wasm } = options;
    const { name, given } = this.#use;
    const choose = async (refused?: string) => {
      const lock = `headwise-${Date.now()}-${Math.random()}`;
      stage.waitFor(given ? `${name}, which must import headwise/worker-host` : name, "worker-lost");
      const { choice, locked } = await this.#request(() => this.#host.choose({ threads, simd }, lock, refused));
      this.#peer.hasAnswered();
      // Granted when the worker dies. Browsers have no event for that.
      if (locked) navigator.locks.request(lock, () => this.#lost("it was terminated")).catch(() => {});
      return choice;
    };
    const start = async (choice: Choice) => {
      const file = `headwise-${choice.binary}.wasm`;
      stage.waitFor(`wasm, which was asked for ${file}`, "invalid-file");
      const source = wasm === undefined ? undefined : await sendableSource(await locate(choice.binary, wasm));
      const from = typeof source === "string" ? ` from ${source}` : "";
      const threads = choice.threads > 1 ? ` and ${choice.threads - 1} more workers (thread.js)` : "";
      stage.waitFor(`${name}, which starts ${file}${from}${threads}`, "worker-lost");
      const info = await this.#request(() => this.#host.start(choice, source, analyses));
      if ("refused" in info) throw new ThreadsRefused("unsupported", info.refused);
      return info;
    };
    return startChosen(options, choose, start);
  }

  /** To be called when a start has failed. A worker that the user may keep stays alive and can be used again. */
  abandon(): void {
    const failed = new HeadwiseError("disposed", "this Headwise instance could not be loaded");
    if (!this.#use.shared || this.ended) return this.end(failed);
    void this.#host.release();
    this.#settleAll(failed);
    this.#peer.release();
  }

  /** Copies the arguments of a call now. The returned `send` sends it. */
  prepare(target: number, method: string, args: readonly unknown[]) {
    const { rest, taken } = takeOptions(args, ["signal", "onProgress"]);
    const signal = optional(checkSignal)(taken.signal, "signal");
    const onProgress = checkOnProgress(taken.onProgress, "onProgress");
    if (onProgress) rest.push({ ...(rest.pop() as object), onProgress: true }); // the worker refuses it for methods without progress
    const { copied, buffers } = copyArguments(method, rest, this);
    const id = this.#nextId++;
    const call = { id, target, method, args: copied };
    const send = () => this.#request(() => this.#host.call(transfer(call, buffers)), { id, signal, onProgress });
    return { signal, send };
  }

  /** Calls a method of the instance (target 0) or of an object. */
  async call(target: number, method: string, args: readonly unknown[]): Promise<unknown> {
    return this.prepare(target, method, args).send();
  }

  /** Sends a request. Settles with its reply, or when the worker is lost or disposed, or when the signal aborts. */
  #request<T>(send: () => Promise<Reply<T>>, { id, signal, onProgress }: Partial<Watch> = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      if (signal?.aborted) return reject(aborted(signal));
      const stop = (error: unknown) => {
        void this.#host.abort(id!);
        settle();
        reject(error);
      };
      const unlisten = signal && onAbort(signal, () => stop(aborted(signal)));
      const settle = () => {
        unlisten?.();
        this.#progress.delete(id!);
        const first = this.#rejections.delete(reject);
        if (first && this.#rejections.size === 0) this.#peer.setIdle(true);
        return first;
      };
      if (this.#rejections.size === 0) this.#peer.setIdle(false);
      this.#rejections.add(reject);
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

  /** Ends the worker. All pending and later calls reject with `error`. */
  end(error: HeadwiseError): void {
    if (this.#ended !== undefined) return;
    this.#settleAll(error);
    this.#peer.terminate();
  }

  #settleAll(error: HeadwiseError): void {
    this.#ended = error;
    for (const reject of this.#rejections) reject(error);
    this.#rejections.clear();
  }

  /** Frees an object in the worker. Never rejects. */
  async free(target: number): Promise<void> {
    if (!this.ended) await this.call(target, "dispose", []).catch(() => {});
  }

  /** Frees the objects in the result of a call that was aborted. */
  #discard(value: unknown): void {
    for (const reference of referencesIn(value)) void this.free(reference[remoteMark]);
  }
}

/** A source that can be sent: addresses as strings, responses compiled. */
async function sendableSource(source: Source): Promise<SentSource> {
  const tag = typeTag(source);
  if (tag === "Response") return compile(source);
  return tag === "URL" ? (source as URL).href : (source as BufferSource | WebAssembly.Module);
}

const isDataCloneError = (error: unknown) => error instanceof Error && error.name === "DataCloneError";
