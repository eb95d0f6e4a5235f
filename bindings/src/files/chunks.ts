/** Reads a stream of bytes. */

const chunkBytes = 1 << 18;

/** The chunks of a stream. Each is valid until the next one is requested. */
export interface ChunkReader {
  /** Undefined after the last. */
  read(): Promise<Uint8Array | undefined>;
  cancel(): void;
}

/** Reads chunks as the stream makes them. */
export function plainReaderOf(stream: ReadableStream<Uint8Array>): ChunkReader {
  const reader = stream.getReader();
  return { read: async () => (await reader.read()).value, cancel: () => void reader.cancel().catch(() => {}) };
}

/**
 * Reads into one buffer again and again, if the stream supports it. A new buffer for each chunk would make hundreds of MB of garbage
 * for a file of 2 GB before the engine collects it.
 */
export function readerOf(stream: ReadableStream<Uint8Array>): ChunkReader {
  let reader: ReadableStreamBYOBReader | undefined;
  try {
    reader = stream.getReader({ mode: "byob" });
  } catch {
    return plainReaderOf(stream);
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
