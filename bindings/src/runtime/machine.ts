/** Asks the engine what it can do. The only file that looks at the environment, and only when called. */
import { jspi, relaxedSimd, simd, threads } from "wasm-feature-detect";

import type { Machine } from "./choose.js";

/** Node's built-in modules, without an import that bundlers for browsers would stumble over; undefined elsewhere. */
export function nodeBuiltin<Name extends keyof NodeBuiltins>(name: Name): NodeBuiltins[Name] | undefined {
  const { process } = globalThis as { process?: NodeJS.Process & { type?: string } };
  if (!process?.versions?.node || process.type === "renderer") return undefined;
  return process.getBuiltinModule(name) as NodeBuiltins[Name];
}

interface NodeBuiltins {
  "node:fs/promises": typeof import("node:fs/promises");
  "node:os": typeof import("node:os");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
}

export async function detectMachine(): Promise<Machine> {
  const os = nodeBuiltin("node:os");
  const [hasSimd, hasRelaxedSimd, hasThreads, isRecent] = await Promise.all([simd(), relaxedSimd(), threads(), jspi()]);
  const onPage = typeof window !== "undefined" && typeof document !== "undefined";
  return {
    environment: os !== undefined ? "node" : onPage ? "browser-main" : "browser-worker",
    simd: hasSimd,
    relaxedSimd: hasRelaxedSimd,
    recentCompiler: isRecent,
    threads: hasThreads && typeof SharedArrayBuffer !== "undefined",
    crossOriginIsolated: globalThis.crossOriginIsolated === true,
    cores: os !== undefined ? os.availableParallelism() : navigator.hardwareConcurrency || 1,
  };
}
