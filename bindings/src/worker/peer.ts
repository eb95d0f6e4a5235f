/** The worker at the other end, the same in browsers and in Node: its messages, and how it ends. */
import type { Endpoint } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

import { HeadwiseError } from "../base/errors.js";
import { causes } from "../runtime/limit.js";
import type { NodeWorker } from "../runtime/threads.js";

/** Workers that serve an instance, or start to. */
const inUse = new WeakSet<object>();

/** A worker that has an error of its own, and then is silent for so many milliseconds, will not answer any more. */
const grace = 5000;

interface Listeners {
  message(data: unknown): void;
  lost(why: string): void;
}

export class Peer {
  readonly endpoint: Endpoint;
  readonly #worker: Worker | NodeWorker;
  readonly #given: boolean;
  readonly #listeners: Listeners;
  readonly #terminate: () => void;
  readonly #unlisten: () => void;
  #answered = false;
  #uncaught: string | undefined; // the last error that nobody has caught in there

  /** `given`: by the user, who has code in it too: its errors are none of ours. */
  constructor(worker: Worker | NodeWorker, given: boolean, listeners: Listeners) {
    if (inUse.has(worker))
      throw new HeadwiseError("invalid-option", "worker: it serves another Headwise instance already");
    inUse.add(worker);
    this.#worker = worker;
    this.#given = given;
    this.#listeners = listeners;
    this.#terminate = worker.terminate.bind(worker);
    if ("addEventListener" in worker) {
      this.endpoint = worker;
      this.#unlisten = this.#listenTo(worker);
    } else {
      this.endpoint = nodeEndpoint(worker);
      this.#unlisten = this.#listenInNode(worker);
      this.setIdle(true);
    }
  }

  /** From now on errors are those of code that runs, not of a start. */
  hasAnswered(): void {
    this.#answered = true;
  }

  #listenTo(worker: Worker): () => void {
    const message = ({ data }: MessageEvent) => this.#listeners.message(data);
    const error = (event: ErrorEvent) => {
      if (this.#answered) return; // it lives on
      // Without a message, the script did not arrive.
      if (!event.message) this.#listeners.lost(`its script could not be loaded. ${causes}`);
      else if (!this.#given) this.#listeners.lost(event.message);
      else setTimeout(() => this.#answered || this.#listeners.lost(event.message), grace);
    };
    worker.addEventListener("message", message);
    worker.addEventListener("error", error);
    // A busy worker outlives terminate(), and so does its lock: 2 s in Chromium, in WebKit until its call is over.
    worker.terminate = () => {
      this.#terminate();
      this.#listeners.lost("it was terminated");
    };
    return () => {
      worker.removeEventListener("message", message);
      worker.removeEventListener("error", error);
      worker.terminate = this.#terminate;
    };
  }

  #listenInNode(worker: NodeWorker): () => void {
    const message = (data: unknown) => this.#listeners.message(data);
    const error = (error: unknown) => void (this.#uncaught = String(error));
    const exit = () => this.#listeners.lost(this.#uncaught ?? "it ended");
    worker.on("message", message).on("error", error).on("exit", exit);
    return () => worker.off("message", message).off("error", error).off("exit", exit);
  }

  /** In Node an idle worker keeps no program alive. */
  setIdle(idle: boolean): void {
    if (!("unref" in this.#worker)) return;
    if (idle) this.#worker.unref();
    else this.#worker.ref();
  }

  terminate(): void {
    this.#terminate();
  }

  /** Leaves the worker as it was. */
  release(): void {
    this.#unlisten();
    this.setIdle(false);
    inUse.delete(this.#worker);
  }
}
