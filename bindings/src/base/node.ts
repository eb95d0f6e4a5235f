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
  "node:path": typeof import("node:path");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
}
