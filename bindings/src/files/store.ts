/** Where downloaded files are kept. */
import type { Place } from "./place.js";

/** A file that is being kept. It is there for others once it is closed. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** Leaves nothing of it. */
  abort(): void;
}

export interface Store {
  /** What is kept under an address. */
  find(url: string, file: string): Promise<Place | undefined>;
  keep(url: string, bytes: number): Promise<Sink>;
  /** Deletes what is kept under the addresses that begin so. */
  clear(prefix: string): Promise<void>;
}

/** What a store says, or nothing where it fails: a full disk and a lack of permission cost the caching alone. */
export const orNothing = <T>(answer: Promise<T> | undefined): Promise<T | undefined> =>
  answer === undefined ? Promise.resolve(undefined) : answer.catch(() => undefined);

/** A sink that fails silently, once and for all. */
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
