/** Where a file is, and how its bytes are asked for: the one interface of addresses, folders and memory. */
import { HeadwiseError } from "../base/errors.js";
import { readerOf } from "./chunks.js";

/** The bytes of a file, or a part of it, as they come. */
export interface Answer {
  /** Where in the file they begin: at the byte that was asked for, or at 0 where only the whole can be had. */
  readonly from: number;
  /** Where they end (exclusive), where the answer tells it. */
  readonly to: number | undefined;
  /** Bytes of the whole file, where the answer tells it. */
  readonly size: number | undefined;
  /** Something that changes with the file, where the answer tells it. */
  readonly version: string | undefined;
  /** Whether a part can be asked for at no greater cost than its own bytes. */
  readonly ranged: boolean;
  /** The next bytes, valid until the next call; undefined after the last. Throws `Broken`. */
  read(): Promise<Uint8Array | undefined>;
  /** Ends it, wherever it is. */
  close(): void;
}

export interface Place {
  /** The file's name within the model, for messages. */
  readonly file: string;
  /** Its address, under which it can be cached. */
  readonly url?: string;
  /** Asks for the bytes `from` to `to` (exclusive; undefined: the end). Throws `Missing` and `Broken`. */
  open(from: number, to: number | undefined, signal: AbortSignal | undefined): Promise<Answer>;
}

/** There is no such file, which is an error only where it is needed. */
export class Missing extends Error {}

/** A connection failed: trying again may help. */
export class Broken extends Error {}

/** What stands in an error's message; fetch hides the reason in the cause. */
export function reasonOf(error: unknown): string {
  const cause = (error as { cause?: { message?: unknown } } | undefined)?.cause?.message;
  return String(cause || (error as Error | undefined)?.message || error);
}

export function fileError(file: string, reason: string, cause?: unknown): HeadwiseError {
  return new HeadwiseError("invalid-file", `${file}: ${reason}`, { cause });
}

/** A file that a source does not name. */
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

/** A Blob, such as a dropped File: read as it is asked for. */
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
