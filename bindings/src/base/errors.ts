/** The kind of an error, for programs. The message explains it to people. */
export type ErrorCode =
  | "invalid-shape" // the rank, an extent or the number of elements of an array argument
  | "invalid-option" // any other fault of an argument: its type, an unknown name, a value out of range
  | "invalid-file" // a safetensors or WebAssembly file that is malformed or could not be loaded
  | "out-of-memory" // memory could not be allocated
  | "disposed" // the object, or the instance that it belongs to, was disposed
  | "unsupported" // the engine or the host lacks what the call needs
  | "worker-lost" // the worker ended, or did not answer when it was started
  | "aborted"; // the call's signal aborted

/**
 * The error that Headwise throws. A failed call has changed nothing. Errors that your own callbacks throw (`onProgress`,
 * `fineTune`, `wasm`) are passed on unchanged.
 */
export class HeadwiseError extends Error {
  /** The name of its class. */
  override readonly name = "HeadwiseError";

  constructor(
    /** What kind of failure it is. */
    readonly code: ErrorCode,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }
}
