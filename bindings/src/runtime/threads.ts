/** Starts workers: the threads of a pool, and the worker of `headwise/worker`. */
import { HeadwiseError } from "../base/errors.js";
import { ThreadsRefused } from "./choose.js";
import { nodeBuiltin } from "./machine.js";

export type NodeWorker = import("node:worker_threads").Worker;

/** Makes a worker. If the host refuses, throws a HeadwiseError. */
export function startWorker<T>(what: string, make: () => T, Refused = HeadwiseError): T {
  try {
    return make();
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new Refused("unsupported", `${what} could not be started: ${detail}`, { cause });
  }
}

/** The part of a worker that Emscripten's code uses. */
export interface Thread {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
  /** In Node: lets the program end while the thread exists. */
  unref?(): void;
}

/** @param failed called with the reason if the thread cannot start */
export const startThread = (failed: (why: string) => void): Thread =>
  startWorker("a thread", () => makeThread(failed), ThreadsRefused);

function makeThread(failed: (why: string) => void): Thread {
  const node = nodeBuiltin("node:worker_threads");
  // No execArgv: a program run with --input-type or a loader would break or slow the thread.
  if (node !== undefined)
    return inNode(new node.Worker(new URL("./thread.js", import.meta.url), { execArgv: [] }), failed);
  const worker = inBrowser();
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    event.stopImmediatePropagation(); // Emscripten's own listener prints the error and throws one that nobody can catch
    failed(event.message || "its script, thread.js, could not be loaded");
  });
  return worker as Thread;
}

function inBrowser(): Worker {
  try {
    return new Worker(new URL("./thread.js", import.meta.url), { type: "module", name: "headwise-thread" });
  } catch {
    // The package is on another origin, as on a CDN: a page may not start that script, but may import it. Hidden from bundlers.
    const script = `import ${JSON.stringify(import.meta.url.replace(/[^/]*$/, "thread.js"))};`;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    return new Worker(url, { type: "module", name: "headwise-thread" });
  }
}

function inNode(worker: NodeWorker, failed: (why: string) => void): Thread {
  const thread: Thread = {
    onmessage: null,
    postMessage: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
    unref: () => worker.unref(),
  };
  worker.on("message", (data) => thread.onmessage?.({ data }));
  worker.on("error", (error) => failed(String(error)));
  return thread;
}
