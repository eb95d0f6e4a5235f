/** Files in the browser's Cache API. */
import { plainReaderOf } from "./chunks.js";
import { fileError, reasonOf, type Place } from "./place.js";
import { orNothing, type Sink, type Store } from "./store.js";

const cacheName = "headwise-models";

function cachedPlace(cache: Cache, url: string, file: string): Place {
  return {
    file,
    async open() {
      const response = await cache.match(url);
      if (response === undefined) throw fileError(file, "it has left the cache meanwhile");
      // Chromium (156): in a worker, one of 300 cached files never answers a reader that brings its own buffer.
      const reader = response.body && plainReaderOf(response.body); // null if the body is empty
      const size = Number(response.headers.get("Content-Length"));
      return {
        from: 0,
        to: size,
        size,
        version: undefined,
        ranged: false,
        async read() {
          try {
            return await reader?.read();
          } catch (error) {
            throw fileError(file, `it cannot be read from the cache: ${reasonOf(error)}`, error);
          }
        },
        close: () => reader?.cancel(),
      };
    },
  };
}

/**
 * Buffers of the chunks on their way to the disk, used in turn. The stream's reader copies a chunk when it takes it, as the Fetch
 * standard says ("incrementally read"), and at most one chunk waits; the other buffers are a margin. New memory for each chunk would
 * make hundreds of MB of garbage.
 */
const ringLength = 8;

/** Writes as fast as the disk allows. */
function sinkTo(cache: Cache, url: string, bytes: number): Sink {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let failure: { reason: unknown } | undefined;
  let wake = () => {};
  const ring = Array.from({ length: ringLength }, () => new Uint8Array(0));
  let turn = 0;
  const copied = (chunk: Uint8Array) => {
    turn = (turn + 1) % ringLength;
    if (ring[turn]!.length < chunk.length) ring[turn] = new Uint8Array(chunk.length);
    ring[turn]!.set(chunk);
    return ring[turn]!.subarray(0, chunk.length);
  };
  const fail = (reason: unknown) => {
    failure ??= { reason };
    wake();
  };
  const body = new ReadableStream<Uint8Array>({
    start: (it) => void (controller = it),
    pull: () => wake(),
    cancel: fail,
  });
  const headers = { "Content-Length": String(bytes), "Content-Type": "application/octet-stream" };
  const kept = cache.put(url, new Response(body, { headers }));
  kept.catch(fail);
  const check = () => {
    if (failure) throw failure.reason;
  };
  return {
    async write(chunk) {
      while (!failure && (controller.desiredSize ?? 0) <= 0) await new Promise<void>((resolve) => (wake = resolve));
      check();
      controller.enqueue(copied(chunk));
    },
    async close() {
      check();
      controller.close();
      await kept;
    },
    abort() {
      if (!failure) controller.error(new Error("the download has ended"));
    },
  };
}

export const browserStore: Store = {
  async find(url, file) {
    const cache = await caches.open(cacheName);
    return (await cache.match(url)) && cachedPlace(cache, url, file);
  },
  async keep(url, bytes) {
    return sinkTo(await caches.open(cacheName), url, bytes);
  },
  async clear(prefix) {
    const cache = await orNothing(caches.open(cacheName));
    if (cache === undefined) return; // the cache is refused, so it has no files
    // Deletes entry by entry: in WebKit, a cache that is opened soon after caches.delete() may be the deleted one.
    for (const request of await cache.keys()) if (request.url.startsWith(prefix)) await cache.delete(request);
  },
};
