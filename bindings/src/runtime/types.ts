/** The public types of `load`. */

/** Options of `load`. */
export interface LoadOptions {
  /** Number of threads that compute, including the calling one: 1 … 64. `"auto"` (default): min(cores, 8) if the host allows threads, otherwise 1. */
  threads?: number | "auto";
  /** Instruction set of the binary. `"auto"` (default): relaxed SIMD if the engine has it, otherwise simd128. */
  simd?: "auto" | "relaxed" | "simd128";
  /**
   * Folder of the four `.wasm` files (and of `worker-analyses.js`, for analyses in `headwise/worker`), or a function from file name to
   * source. Default: the folder of the package's code.
   */
  wasm?: string | URL | ((file: string) => WasmSource | Promise<WasmSource>);
  /** How long to wait for workers and files, in milliseconds: an integer >= 1. After that `load` rejects and names what did not answer. Default 30,000. */
  timeout?: number;
  /** Cancels loading: `load` rejects with code `aborted` and frees what it has started. */
  signal?: AbortSignal;
}

/** One WebAssembly file: its URL, its bytes, a `Response` of `fetch`, or a compiled module. */
export type WasmSource = string | URL | BufferSource | Response | WebAssembly.Module;

/** The binary that `load` chose. */
export interface Info {
  /** Version of the package. */
  readonly version: string;
  /** Instruction set of the binary that was chosen. */
  readonly simd: "relaxed" | "simd128";
  /** Number of threads that compute, the calling one included. */
  readonly threads: number;
  /** Why `load` chose this binary and this number of threads, and how to get more. For people. */
  readonly reason: string;
}

/** Memory of one instance, in bytes. */
export interface MemoryUse {
  /** Bytes in use now: parameters, caches, and buffers that are kept between calls. */
  readonly usedBytes: number;
  /** Size of the WebAssembly memory, in bytes. It grows up to 4 GiB and never shrinks. */
  readonly capacityBytes: number;
  /** Number of objects that hold WebAssembly memory and are not yet disposed: modules, caches, transformers, optimizers, running generators. */
  readonly liveObjects: number;
}
