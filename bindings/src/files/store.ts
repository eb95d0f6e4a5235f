/** The cache of downloaded files. */
import type { Place } from "./place.js";

/** A file that is being written to the cache. It can be read from the cache once it is closed. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** Discards the file. */
  abort(): void;
}

export interface Store {
  /** The cached file of an address. */
  find(url: string, file: string): Promise<Place | undefined>;
  keep(url: string, bytes: number): Promise<Sink>;
  /** Deletes the cached files whose addresses have this prefix. */
  clear(prefix: string): Promise<void>;
}

/** The answer of a store, or undefined if it fails. A full disk or a missing permission only disables the caching. */
export const orNothing = <T>(answer: Promise<T> | undefined): Promise<T | undefined> =>
  answer === undefined ? Promise.resolve(undefined) : answer.catch(() => undefined);

/** A sink that stops silently after its first failure. */
export async function keepIfPossible(store: Store | undefined, url: string | undefined, bytes: number): Promise<Sink> {
  let sink = url === undefined ? undefined : await orNothing(store?.keep(url, bytes));
  const attempt = async (work: (sink: Sink) => Promise<void>) => {
    try {
      if (sink) await work(sink);
    } catch {
      sink?.abort();
      sink = undefined;
    }
  };
  return {
    write: (bytes) => attempt((sink) => sink.write(bytes)),
    async close() {
      await attempt((sink) => sink.close());
      sink = undefined;
    },
    abort() {
      sink?.abort();
      sink = undefined;
    },
  };
}
