/** Asks the engine what it can do. The only file that looks at the environment, and only when called. */
import { jspi, relaxedSimd, simd, threads } from "wasm-feature-detect";

import { HeadwiseError } from "../base/errors.js";
import { nodeBuiltin } from "../base/node.js";
import type { Machine } from "./choose.js";

export { nodeBuiltin } from "../base/node.js";

/** Whether Node's permission model lets workers start; there is none in older versions. */
function nodeAllowsWorkers(): boolean {
  const { process } = globalThis as { process?: { permission?: { has(scope: string): boolean } } };
  try {
    return process?.permission?.has("worker") ?? true;
  } catch {
    return false; // in name only, as in Cloudflare's runtime
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
