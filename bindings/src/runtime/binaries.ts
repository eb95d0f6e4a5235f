/** Where the four binaries are, and how they are fetched, compiled once and started. */
import { invalidOption, typeTag } from "../base/checks.js";
import type { Binary } from "./choose.js";
import { HeadwiseError } from "../base/errors.js";
import { nodeBuiltin } from "./machine.js";
import type { CreateNative, Native } from "./native.js";
import type { LoadOptions } from "./types.js";

/** The JavaScript half, which the binaries of one thread share, and those with a pool. */
export const glue: Record<"single" | "threads", () => Promise<{ default: CreateNative }>> = {
  single: () => import("./headwise-single.mjs"),
  threads: () => import("./headwise-threads.mjs"),
};
/** Written out, one by one, in the form that bundlers follow. Only the chosen one is ever loaded. */
const wasm: Record<Binary, () => URL> = {
  simd128: () => new URL("./headwise-simd128.wasm", import.meta.url),
  relaxed: () => new URL("./headwise-relaxed.wasm", import.meta.url),
  "simd128-threads": () => new URL("./headwise-simd128-threads.wasm", import.meta.url),
  "relaxed-threads": () => new URL("./headwise-relaxed-threads.wasm", import.meta.url),
};

/** Where one binary comes from. */
export type Source = URL | BufferSource | WebAssembly.Module;

/** Where the page's relative addresses start; Node has the working directory. */
function toUrl(source: string | URL): URL {
  if (source instanceof URL) return source;
  const base =
    globalThis.document?.baseURI ?? globalThis.location?.href ?? nodeBuiltin("node:url")?.pathToFileURL("./").href;
  try {
    return new URL(source, base);
  } catch {
    throw invalidOption("wasm", "an address", source);
  }
}

/** What `LoadOptions.wasm` says of a binary. */
export function locate(binary: Binary, option: LoadOptions["wasm"]): Source {
  const file = `headwise-${binary}.wasm`;
  if (option === undefined) return wasm[binary]();
  if (typeof option === "function") {
    const source = option(file);
    return typeof source === "string" ? toUrl(source) : source;
  }
  const folder = String(option);
  return toUrl(folder.endsWith("/") ? folder + file : `${folder}/${file}`);
}

function couldNotLoad(url: URL, cause: unknown): HeadwiseError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new HeadwiseError("invalid-file", `could not load ${url.href}: ${detail}`, { cause });
}

async function compileFrom(url: URL): Promise<WebAssembly.Module> {
  try {
    const fs = url.protocol === "file:" ? nodeBuiltin("node:fs/promises") : undefined;
    if (fs !== undefined) return await WebAssembly.compile(await fs.readFile(url));
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    // Hosts that do not know the type of .wasm still serve it; streaming would refuse.
    const streams = response.headers.get("Content-Type")?.startsWith("application/wasm");
    return await (streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (error) {
    throw couldNotLoad(url, error);
  }
}

/** Compiled modules by address: shared by all instances. Failures are not kept. */
const compiled = new Map<string, Promise<WebAssembly.Module>>();

async function compile(source: Source): Promise<WebAssembly.Module> {
  if (source instanceof URL) {
    let module = compiled.get(source.href);
    if (module === undefined) {
      module = compileFrom(source);
      compiled.set(source.href, module);
      module.catch(() => compiled.delete(source.href));
    }
    return module;
  }
  if (typeTag(source) === "WebAssembly.Module") return source as WebAssembly.Module;
  try {
    return await WebAssembly.compile(source as BufferSource);
  } catch (error) {
    throw new HeadwiseError("invalid-file", "wasm: the bytes given are not the WebAssembly file", { cause: error });
  }
}

/** Starts a binary with its pool of threads, in workers of the caller's own making if it has a way. */
export async function start(
  binary: Binary,
  threads: number,
  source: Source,
  makeThread?: () => Worker,
): Promise<Native> {
  const compiledModule = compile(source);
  compiledModule.catch(() => {}); // awaited below
  const options: Parameters<CreateNative>[0] = { poolSize: threads - 1, makeThread, instantiateWasm: () => ({}) };
  let threadFailed = (_event: ErrorEvent) => {};
  try {
    const { default: create } = await (threads > 1 ? glue.threads() : glue.single());
    const module = await compiledModule;
    return await new Promise<Native>((resolve, reject) => {
      options.instantiateWasm = (imports, receive) => {
        WebAssembly.instantiate(module, imports)
          .then((instance) => receive(instance, module))
          .catch(reject);
        return {};
      };
      // When a thread cannot start, Emscripten throws where nobody can catch it, and waits on.
      threadFailed = (event) => reject(new Error(`a thread could not start: ${event.message}`));
      globalThis.addEventListener?.("error", threadFailed);
      create(options).then(resolve, reject);
    });
  } catch (error) {
    options.PThread?.terminateAllThreads(); // of a pool that will have nothing to do
    if (error instanceof HeadwiseError) throw error;
    const code = error instanceof RangeError ? "out-of-memory" : "unsupported";
    throw new HeadwiseError(code, `could not start headwise-${binary}.wasm: ${(error as Error)?.message ?? error}`, {
      cause: error,
    });
  } finally {
    globalThis.removeEventListener?.("error", threadFailed);
  }
}
