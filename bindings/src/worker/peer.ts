/** The worker at the other end: its messages and its end, the same in browsers and in Node. */
import type { Endpoint } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

import { HeadwiseError } from "../base/errors.js";
import { causes } from "../runtime/limit.js";
import type { NodeWorker } from "../runtime/threads.js";

/** Workers that serve an instance or are being started for one. */
const inUse = new WeakSet<object>();

/** Milliseconds. A supplied worker that has an error and then does not answer for this long counts as lost. */
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
  #uncaught: string | undefined; // the last uncaught error in the worker

  /** @param given the user supplied the worker, so errors may be those of other code in it */
  constructor(worker: Worker | NodeWorker, given: boolean, listeners: Listeners) {
    if (inUse.has(worker))
      throw new HeadwiseError("invalid-option", "worker: it already serves another Headwise instance");
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

  /** To be called after the first answer. Later errors do not mean that the start has failed. */
  hasAnswered(): void {
    this.#answered = true;
  }

  #listenTo(worker: Worker): () => void {
    const message = ({ data }: MessageEvent) => this.#listeners.message(data);
    const error = (event: ErrorEvent) => {
      if (this.#answered) return; // the worker continues to run
      // An error without a message means that the script was not loaded.
      if (!event.message) this.#listeners.lost(`its script could not be loaded. ${causes}`);
      else if (!this.#given) this.#listeners.lost(event.message);
      else setTimeout(() => this.#answered || this.#listeners.lost(event.message), grace);
    };
    worker.addEventListener("message", message);
    worker.addEventListener("error", error);
    // A busy worker and its lock outlive terminate(): 2 s in Chromium, until the end of the running call in WebKit.
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

  /** In Node an idle worker must not keep the program alive. */
  setIdle(idle: boolean): void {
    if (!("unref" in this.#worker)) return;
    if (idle) this.#worker.unref();
    else this.#worker.ref();
  }

  terminate(): void {
    this.#terminate();
  }

  /** Releases the worker for other use. */
  release(): void {
    this.#unlisten();
    this.setIdle(false);
    inUse.delete(this.#worker);
  }
}
