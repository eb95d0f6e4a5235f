/** Headwise off the calling thread: the surface of `load`, with promises. */
import { checkOptions, invalidOption, isObject } from "../base/checks.js";
import { makeDisposable, type NotYetDisposable } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { checkLoadOptions } from "../load.js";
import { nodeBuiltin } from "../runtime/machine.js";
import type { WorkerHeadwise, WorkerLoadOptions } from "./types.js";
import { Connection, type NodeWorker } from "./connection.js";
import { members } from "./objects.js";

export * from "../index.js";

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

/** Loads Headwise in a worker of its own. */
export async function load(optionsLike?: WorkerLoadOptions): Promise<WorkerHeadwise> {
  const { worker: given, ...rest } = checkOptions(optionsLike, "load", ["threads", "simd", "wasm", "worker"]);
  const options = checkLoadOptions(rest);
  const connection = new Connection(given === undefined ? makeWorker() : checkWorker(given));
  try {
    const info = await connection.load(options);
    return makeDisposable({
      ...members(connection, "headwise", 0, { info }),
      async dispose() {
        connection.end(new HeadwiseError("disposed", "this Headwise instance was disposed"));
      },
    } as NotYetDisposable<WorkerHeadwise>);
  } catch (error) {
    connection.end(new HeadwiseError("disposed", "this Headwise instance could not be loaded"));
    throw error;
  }
}
