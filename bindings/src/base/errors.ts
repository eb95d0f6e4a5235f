/** What went wrong, for programs; the message says it to people. */
export type ErrorCode =
  | "invalid-shape" // rank, extent or element count of an array argument
  | "invalid-option" // all else about arguments: types, unknown names, values out of range
  | "invalid-file"
  | "out-of-memory"
  | "disposed"
  | "unsupported"
  | "worker-lost"
  | "aborted";

/** The only error that Headwise throws. A failed call has changed nothing. */
export class HeadwiseError extends Error {
  override readonly name = "HeadwiseError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }
}
