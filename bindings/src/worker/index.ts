/** Headwise in a worker: the API of `headwise`, with promises. */
import { invalidOption } from "../base/checks.js";
import { makeDisposable, type NotYetDisposable } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { onDemand } from "../base/on_demand.js";
import { optional, readOptions, type OptionTable } from "../base/options.js";
import { loadTable } from "../runtime/load_options.js";
import { inFolder } from "../runtime/sources.js";
import { withinLimits, type Stage } from "../runtime/limit.js";
import { nodeBuiltin } from "../runtime/machine.js";
import { startWorker } from "../runtime/threads.js";
import type { WorkerHeadwise, WorkerLoadOptions } from "./types.js";
import { Connection, type WorkerToUse } from "./connection.js";
import { hasText } from "../inside/has_text.js";
import { analysisNames } from "../inside/names.js";
import type { HeadReport } from "../inside/types.js";
import type { clearCache, isCached } from "../files/model_files.js";
import type { ModelSource } from "../files/types.js";
import type { OpenModelOptions } from "../models/opened_types.js";
import { members } from "./objects.js";

export * from "../common.js";
export type * from "./types.js";

const models = () => onDemand(() => import("./open_model.js"));
const texts = () => onDemand(() => import("../inside/text_arguments.js"), "analyses");

/** The package's own worker. */
function makeWorker(): WorkerToUse {
  const node = nodeBuiltin("node:worker_threads");
  if (node === undefined && typeof Worker === "undefined") {
    const why = "no worker can be started here (service workers and edge runtimes have none)";
    throw new HeadwiseError("unsupported", `${why}; use "headwise", which computes on the calling thread`);
  }
  return startWorker("the worker that computes (worker-host.js)", () => {
    const name = `the worker ${new URL("./worker-host.js", import.meta.url).href}`;
    const worker =
      node === undefined
        ? new Worker(new URL("./worker-host.js", import.meta.url), { type: "module" })
        : // No execArgv: a program run with --input-type or a loader would break or slow the worker.
          new node.Worker(new URL("./worker-host.js", import.meta.url), { execArgv: [] });
    return { worker, name, given: false, shared: false };
  });
}

/** Where the worker finds the code of the analyses: in the folder that `wasm` names, or beside this file. */
function analysesAt(wasm: WorkerLoadOptions["wasm"]): string {
  if (wasm !== undefined && typeof wasm !== "function") return inFolder(wasm, "worker-analyses.js").href;
  try {
    return new URL("./worker-analyses.js", import.meta.url).href; // in the form that bundlers recognise
  } catch {
    return ""; // some bundlers lose import.meta.url; only the analyses need this file
  }
}

/** The worker that the user supplies, as a worker or as a function that makes it. */
function workerFrom(given: unknown): WorkerToUse {
  const makes = typeof given === "function";
  const worker: unknown = makes ? startWorker("worker", given as () => unknown) : given;
  if (!isObject(worker) || typeof worker.postMessage !== "function" || typeof worker.terminate !== "function") {
    throw invalidOption("worker", "a Worker, or a function that makes one", worker);
  }
  if (worker.threadId === -1) throw new HeadwiseError("worker-lost", "worker: it has ended already"); // in Node
  return { worker: worker as unknown as Worker, name: "the worker given", given: true, shared: !makes };
}

const optionTable = {
  ...loadTable,
  worker: optional((value: unknown) => value), // checked in workerFrom, which calls the function
} satisfies OptionTable<WorkerLoadOptions>;

/** Loads Headwise in a worker, with the binary that fits the machine. Each call makes an instance with its own worker, memory and threads. */
export async function load(optionsLike?: WorkerLoadOptions): Promise<WorkerHeadwise> {
  const { worker: given, ...options } = readOptions(optionsLike, "load", optionTable);
  const end = (connection: Connection) =>
    connection.end(new HeadwiseError("disposed", "this Headwise instance was disposed"));
  const work = async (stage: Stage) => {
    const connection = new Connection(given === undefined ? makeWorker() : workerFrom(given));
    stage.free = () => connection.abandon();
    return { connection, info: await connection.load(options, analysesAt(options.wasm), stage) };
  };
  const { connection, info } = await withinLimits(options, work, ({ connection }) => end(connection));
  const all = members(connection, "headwise", 0, { info }) as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const reading = analysisNames.map((name) => [
    name,
    async (...args: unknown[]) => {
      // Without text the call takes its place among the others at once.
      const encoded = hasText(args.slice(1)) ? (await texts()).encodeArguments(name, args) : args;
      const result = await all[name]!(...encoded);
      return name === "headReport" ? (await texts()).finishReport(result as HeadReport, args[0]) : result;
    },
  ]);
  return makeDisposable({
    ...all,
    ...Object.fromEntries(reading),
    openModel: async (source: ModelSource, options?: OpenModelOptions) =>
      (await models()).openModel(connection, source, options),
    isCached: async (...args: Parameters<typeof isCached>) => (await models()).isCached(...args),
    clearCache: async (...args: Parameters<typeof clearCache>) => (await models()).clearCache(...args),
    dispose: async () => end(connection),
  } as NotYetDisposable<WorkerHeadwise>);
}
