/** A built-in module of Node, or undefined elsewhere. It is not imported, because bundlers for browsers would fail on the import. */
export function nodeBuiltin<Name extends keyof NodeBuiltins>(name: Name): NodeBuiltins[Name] | undefined {
  const { process } = globalThis as { process?: NodeJS.Process & { type?: string } };
  // Shims of `process` in browsers may have a version of Node, and Electron's pages have the whole object.
  if (typeof process?.getBuiltinModule !== "function" || process.type === "renderer") return undefined;
  return process.getBuiltinModule(name) as NodeBuiltins[Name] | undefined;
}

interface NodeBuiltins {
  "node:fs/promises": typeof import("node:fs/promises");
  "node:os": typeof import("node:os");
  "node:path": typeof import("node:path");
  "node:util": typeof import("node:util");
  "node:url": typeof import("node:url");
  "node:worker_threads": typeof import("node:worker_threads");
}
