/** The addresses of the four binaries. Fetches each and compiles it once. */
import { invalidOption } from "../base/checks.js";
import { typeTag } from "../base/kinds.js";
import { HeadwiseError } from "../base/errors.js";
import type { Binary } from "./choose.js";
import { nodeBuiltin } from "./machine.js";
import type { LoadOptions, WasmSource } from "./types.js";

/** Written out one by one, in the form that bundlers recognise. Only the chosen file is loaded. */
const wasm: Record<Binary, () => URL> = {
  simd128: () => new URL("./headwise-simd128.wasm", import.meta.url),
  relaxed: () => new URL("./headwise-relaxed.wasm", import.meta.url),
  "simd128-threads": () => new URL("./headwise-simd128-threads.wasm", import.meta.url),
  "relaxed-threads": () => new URL("./headwise-relaxed-threads.wasm", import.meta.url),
};

/** Where one binary comes from. */
export type Source = Exclude<WasmSource, string>;

/** Resolves an address relative to the page, or in Node to the working directory. */
function toUrl(source: string | URL): URL {
  const base =
    globalThis.document?.baseURI ?? globalThis.location?.href ?? nodeBuiltin("node:url")?.pathToFileURL("./").href;
  try {
    return new URL(source, base);
  } catch {
    throw invalidOption("wasm", "an address", String(source));
  }
}

/** The package's own file. Some bundlers do not support `import.meta.url` and lose it. */
function ownFile(binary: Binary): URL {
  try {
    return wasm[binary]();
  } catch (cause) {
    const message =
      "wasm: the package's own address is unknown here (import.meta.url); pass the folder of the .wasm files";
    throw new HeadwiseError("invalid-option", message, { cause });
  }
}

/** The address of one of the package's files in the folder that the option `wasm` names. */
export function inFolder(folder: string | URL, file: string): URL {
  const url = toUrl(folder === "" ? "./" : folder);
  url.pathname += url.pathname.endsWith("/") ? file : `/${file}`;
  return url;
}

/** The source of a binary, by the option `wasm`. */
export async function locate(binary: Binary, option: LoadOptions["wasm"]): Promise<Source> {
  const file = `headwise-${binary}.wasm`;
  if (option === undefined) return ownFile(binary);
  if (typeof option === "function") {
    const source = await option(file);
    return typeof source === "string" ? toUrl(source) : source;
  }
  return inFolder(option, file);
}

function couldNotLoad(address: string, cause: unknown): HeadwiseError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new HeadwiseError("invalid-file", `could not load ${address}: ${detail}`, { cause });
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  // Some hosts serve .wasm with another type, which compileStreaming would refuse.
  const streams = response.headers.get("Content-Type")?.startsWith("application/wasm");
  return streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

async function compileFrom(url: URL): Promise<WebAssembly.Module> {
  try {
    const fs = url.protocol === "file:" ? nodeBuiltin("node:fs/promises") : undefined;
    if (fs !== undefined) return await WebAssembly.compile(await fs.readFile(url));
    return await compileResponse(await fetch(url, { credentials: "same-origin" }));
  } catch (error) {
    throw couldNotLoad(url.href, error);
  }
}

/** Compiled modules by address, shared by all instances. Failures are not kept. */
const compiled = new Map<string, Promise<WebAssembly.Module>>();

export async function compile(source: Source): Promise<WebAssembly.Module> {
  const tag = typeTag(source);
  if (tag === "URL") {
    const url = source as URL;
    let module = compiled.get(url.href);
    if (module === undefined) {
      module = compileFrom(url);
      compiled.set(url.href, module);
      module.catch(() => compiled.delete(url.href));
    }
    return module;
  }
  if (tag === "WebAssembly.Module") return source as WebAssembly.Module;
  if (tag === "Response") {
    const response = source as Response;
    return compileResponse(response).catch((error) => {
      throw couldNotLoad(response.url || "the response that wasm gave", error);
    });
  }
  try {
    return await WebAssembly.compile(source as BufferSource);
  } catch (cause) {
    throw new HeadwiseError("invalid-file", "wasm: the bytes given are not the WebAssembly file", { cause });
  }
}
