/** Reads a stream of bytes. */

const chunkBytes = 1 << 18;

/** A stream's chunks, each valid until the next is asked for. */
export interface ChunkReader {
  /** Undefined after the last. */
  read(): Promise<Uint8Array | undefined>;
  cancel(): void;
}

/**
 * Into one buffer, again and again, where the stream can do that: a fresh one for each chunk would make hundreds of MB of
 * garbage of a file of 2 GB before an engine thinks of collecting it.
 */
export function readerOf(stream: ReadableStream<Uint8Array>): ChunkReader {
  let reader: ReadableStreamBYOBReader | undefined;
  try {
    reader = stream.getReader({ mode: "byob" });
  } catch {
    const plain = stream.getReader();
    return { read: async () => (await plain.read()).value, cancel: () => void plain.cancel().catch(() => {}) };
  }
  let buffer = new ArrayBuffer(chunkBytes);
  return {
    async read() {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (value) buffer = value.buffer as ArrayBuffer;
      return done ? undefined : (value as Uint8Array);
    },
    cancel: () => void reader.cancel().catch(() => {}),
  };
}
