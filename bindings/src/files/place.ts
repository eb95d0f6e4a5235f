/** The place of a file, from which its bytes are requested: one interface for addresses, folders and memory. */
import { HeadwiseError } from "../base/errors.js";
import { readerOf } from "./chunks.js";

/** The bytes of a file or of a part of it, as they arrive. */
export interface Answer {
  /** Position of the first byte in the file: the requested one, or 0 if the host only sends whole files. */
  readonly from: number;
  /** Position of the end (exclusive), if the answer contains it. */
  readonly to: number | undefined;
  /** Size of the whole file in bytes, if the answer contains it. */
  readonly size: number | undefined;
  /** A value that changes when the file changes, if the answer contains one. */
  readonly version: string | undefined;
  /** Whether a part of the file can be requested without sending the whole. */
  readonly ranged: boolean;
  /** The next bytes, valid until the next call; undefined after the last. Throws `Broken`. */
  read(): Promise<Uint8Array | undefined>;
  /** Ends the request. */
  close(): void;
}

export interface Place {
  /** The file's name within the model, for messages. */
  readonly file: string;
  /** Its address, under which it can be cached. */
  readonly url?: string;
  /** Requests the bytes `from` to `to` (exclusive; undefined: the end). Throws `Missing` and `Broken`. */
  open(from: number, to: number | undefined, signal: AbortSignal | undefined): Promise<Answer>;
}

/** There is no such file. This is an error only if the file is required. */
export class Missing extends Error {}

/** A connection failed. Another try may succeed. */
export class Broken extends Error {}

/** The reason of an error, for messages. `fetch` puts it into the cause. */
export function reasonOf(error: unknown): string {
  const cause = (error as { cause?: { message?: unknown } } | undefined)?.cause?.message;
  return String(cause || (error as Error | undefined)?.message || error);
}

export function fileError(file: string, reason: string, cause?: unknown): HeadwiseError {
  return new HeadwiseError("invalid-file", `${file}: ${reason}`, { cause });
}

/** A file that is not in the source. */
export function missingPlace(file: string): Place {
  return { file, open: () => Promise.reject(new Missing("it is not among the files")) };
}

/** A file in memory: its bytes come as one view. */
export function memoryPlace(file: string, bytes: Uint8Array): Place {
  return {
    file,
    async open(from, to = bytes.length) {
      let rest: Uint8Array | undefined = bytes.subarray(from, to);
      return {
        from,
        to: from + rest.length,
        size: bytes.length,
        version: undefined,
        ranged: true,
        async read() {
          const all = rest;
          rest = undefined;
          return all?.length ? all : undefined;
        },
        close() {},
      };
    },
  };
}

/** A Blob, such as a dropped File. Its bytes are read on request. */
export function blobPlace(file: string, blob: Blob): Place {
  return {
    file,
    async open(from, to = blob.size) {
      const reader = readerOf(blob.slice(from, to).stream());
      return {
        from,
        to: Math.min(to, blob.size),
        size: blob.size,
        version: undefined,
        ranged: true,
        async read() {
          try {
            return await reader.read();
          } catch (error) {
            throw fileError(file, `it cannot be read: ${reasonOf(error)}`, error);
          }
        },
        close: () => reader.cancel(),
      };
    },
  };
}
