/** The public types of loading. */

/** Where the WebAssembly files are, and how much of the machine to use. */
export interface LoadOptions {
  /** Threads that compute, the calling one included: 1–64, or `"auto"` (default): min(cores, 8) where threads can be had. */
  threads?: number | "auto";
  /** Instruction set of the binary: `"auto"` (default) takes relaxed SIMD where it can be had. */
  simd?: "auto" | "relaxed" | "simd128";
  /** The folder that holds the four `.wasm` files, or a function from file name to source. Default: beside the package's code. */
  wasm?: string | URL | ((file: string) => WasmSource | Promise<WasmSource>);
  /** How long to wait for workers and files, in milliseconds: 30,000. `load` rejects then, and says what did not answer. */
  timeout?: number;
  /** Ends the start: `load` rejects with code `aborted`, and what has been started is freed. */
  signal?: AbortSignal;
}

/** One WebAssembly file: its address, its bytes, what `fetch` gives, or compiled. */
export type WasmSource = string | URL | BufferSource | Response | WebAssembly.Module;

/** What `load` chose. */
export interface Info {
  /** Version of the package. */
  readonly version: string;
  readonly simd: "relaxed" | "simd128";
  readonly threads: number;
  /** Why it is this binary and this number of threads, in words to act on. */
  readonly reason: string;
}

/** Memory of one instance. */
export interface MemoryUse {
  /** Bytes that Headwise holds now: parameters, and buffers kept from call to call. */
  readonly usedBytes: number;
  /** Size of the WebAssembly memory: it grows, up to 4 GiB, and never shrinks. */
  readonly capacityBytes: number;
  /** Modules, caches and models that are alive (made and not yet disposed), and what optimizers and generators hold. */
  readonly liveObjects: number;
}
