/** Detects the features of the engine and the host, when it is called. */
import { jspi, relaxedSimd, simd, threads } from "wasm-feature-detect";

import { HeadwiseError } from "../base/errors.js";
import { nodeBuiltin } from "../base/node.js";
import type { Machine } from "./choose.js";

export { nodeBuiltin } from "../base/node.js";

/** Whether Node's permission model allows workers. Older versions have no permission model. */
function nodeAllowsWorkers(): boolean {
  const { process } = globalThis as { process?: { permission?: { has(scope: string): boolean } } };
  try {
    return process?.permission?.has("worker") ?? true;
  } catch {
    return false; // Cloudflare's runtime has `permission` but does not implement it
  }
}

export async function detectMachine(): Promise<Machine> {
  if (typeof WebAssembly === "undefined") {
    const why = "it is missing in old engines, and may be turned off, as in Lockdown Mode";
    throw new HeadwiseError("unsupported", `this engine has no WebAssembly: ${why}`);
  }
  // Edge runtimes have some of Node's modules, but not this one.
  const os = nodeBuiltin("node:worker_threads") && nodeBuiltin("node:os");
  const [hasSimd, hasRelaxedSimd, hasThreads, isRecent] = await Promise.all([simd(), relaxedSimd(), threads(), jspi()]);
  const onPage = typeof window !== "undefined" && typeof document !== "undefined";
  return {
    environment: os !== undefined ? "node" : onPage ? "browser-main" : "browser-worker",
    simd: hasSimd,
    relaxedSimd: hasRelaxedSimd,
    recentCompiler: isRecent,
    threads: hasThreads && typeof SharedArrayBuffer !== "undefined",
    workers: os !== undefined ? nodeAllowsWorkers() : typeof Worker !== "undefined",
    crossOriginIsolated: globalThis.crossOriginIsolated === true,
    cores: os !== undefined ? os.availableParallelism() : globalThis.navigator?.hardwareConcurrency || 1,
  };
}
