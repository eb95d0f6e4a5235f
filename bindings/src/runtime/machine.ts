/** Asks the engine what it can do. The only file that looks at the environment, and only when called. */
import { jspi, relaxedSimd, simd, threads } from "wasm-feature-detect";

import { HeadwiseError } from "../base/errors.js";
import type { Machine } from "./choose.js";

/** Node's built-in modules, without an import that bundlers for browsers would stumble over; undefined elsewhere. */
export function nodeBuiltin<Name extends keyof NodeBuiltins>(name: Name): NodeBuiltins[Name] | undefined {
  const { process } = globalThis as { process?: NodeJS.Process & { type?: string } };
  // Shims of `process` for browsers may name a version of Node; Electron's pages have all of it.
  if (typeof process?.getBuiltinModule !== "function" || process.type === "renderer") return undefined;
  return process.getBuiltinModule(name) as NodeBuiltins[Name] | undefined;
}

interface NodeBuiltins {
  "node:fs/promises": typeof import("node:fs/promises");
  "node:os": typeof import("node:os");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
}

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
