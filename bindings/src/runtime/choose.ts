/** Which of the four binaries to run, on how many threads, and why: a pure function of the options and the machine. */
import { HeadwiseError } from "../base/errors.js";
import type { LoadOptions } from "./types.js";

/** The properties of the host that the choice depends on. */
export interface Machine {
  readonly environment: "node" | "browser-main" | "browser-worker";
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /** Whether the engine has JavaScript promise integration. Engines that have it also have a compiler that keeps 6 rows in registers. */
  readonly recentCompiler: boolean;
  /** WebAssembly with shared memory and atomics, and SharedArrayBuffer. */
  readonly threads: boolean;
  /** Whether a worker can be started. */
  readonly workers: boolean;
  /** For browsers only; Node needs no isolation. */
  readonly crossOriginIsolated: boolean;
  readonly cores: number;
}

export type Binary = "simd128" | "relaxed" | "simd128-threads" | "relaxed-threads";

export interface Choice {
  readonly binary: Binary;
  readonly simd: "relaxed" | "simd128";
  readonly threads: number;
  /** Rows of the core's tiles. Affects only speed (src/kernels/tile.hpp). */
  readonly tileRows: 4 | 6;
  readonly reason: string;
}

const autoThreads = 8; // more threads rarely make attention faster

/** Threads could not be started. With `threads: "auto"` one thread is used instead. */
export class ThreadsRefused extends HeadwiseError {}

/** Starts the chosen binary. If `"auto"` has chosen threads and they are refused, starts on one thread, with the reason. */
export async function startChosen<T>(
  options: Pick<LoadOptions, "threads">,
  choose: (refused?: string) => Promise<Choice>,
  start: (choice: Choice) => Promise<T>,
): Promise<T> {
  try {
    return await start(await choose());
  } catch (error) {
    if (options.threads !== "auto" || !(error instanceof ThreadsRefused)) throw error;
    return start(await choose(error.message));
  }
}

/** Why threads are not available; undefined if they are. */
function threadsObstacle(machine: Machine, refused: string | undefined): string | undefined {
  if (refused !== undefined) return refused;
  if (machine.environment === "browser-main") {
    return "on a page's main thread headwise uses one thread, because a page must not block; import headwise/worker for threads";
  }
  if (!machine.workers) {
    return machine.environment === "node"
      ? "Node's permission model forbids workers; run node with --allow-worker for threads"
      : "no worker can be started here: service workers, most shared workers and edge runtimes have none";
  }
  if (machine.environment === "browser-worker" && !machine.crossOriginIsolated) {
    return "the page is not cross-origin isolated; send Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp for threads";
  }
  if (!machine.threads) return "this engine has no SharedArrayBuffer or no WebAssembly threads";
  return undefined;
}

/** @param refused why threads could not be started, after a try */
export function choose(
  options: Required<Pick<LoadOptions, "threads" | "simd">>,
  machine: Machine,
  refused?: string,
): Choice {
  if (!machine.simd)
    throw new HeadwiseError("unsupported", "this engine has no WebAssembly SIMD, which Headwise needs");
  if (options.simd === "relaxed" && !machine.relaxedSimd) {
    throw new HeadwiseError("unsupported", 'simd: this engine has no relaxed SIMD; use "auto" or "simd128"');
  }
  const obstacle = threadsObstacle(machine, refused);
  if (typeof options.threads === "number" && options.threads > 1 && obstacle !== undefined) {
    throw new HeadwiseError("unsupported", `threads: ${options.threads} threads are not available: ${obstacle}`);
  }
  const simd = options.simd === "auto" ? (machine.relaxedSimd ? "relaxed" : "simd128") : options.simd;
  const wanted = options.threads === "auto" ? Math.min(machine.cores, autoThreads) : options.threads;
  const threads = obstacle === undefined ? wanted : 1;

  const simdReason =
    options.simd !== "auto"
      ? `${simd} as asked`
      : machine.relaxedSimd
        ? "relaxed SIMD"
        : `simd128: this engine has no relaxed SIMD${machine.environment === "node" ? " (Node has it from 22 on, or with --experimental-wasm-relaxed-simd)" : ""}`;
  const threadsReason =
    options.threads !== "auto"
      ? `${threads} thread${threads === 1 ? "" : "s"} as asked`
      : obstacle !== undefined
        ? `1 thread: ${obstacle}`
        : `${threads} thread${threads === 1 ? "" : "s"} for ${machine.cores} core${machine.cores === 1 ? "" : "s"}`;
  return {
    binary: threads > 1 ? `${simd}-threads` : simd,
    simd,
    threads,
    tileRows: simd === "relaxed" && machine.recentCompiler ? 6 : 4,
    reason: `${simdReason}; ${threadsReason}`,
  };
}
