/** Streams a model's tensors from one or many safetensors files, one at a time, in the order of the files. */
import { show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { aborted } from "../base/signals.js";
import { ByteReader } from "./byte_reader.js";
import { fileError, Missing, type Place } from "./place.js";
import { isStrings, readHeader, readHeaderLength, type Entry } from "./safetensors_header.js";
import { floatsOf } from "./safetensors.js";
import { keepIfPossible, type Store } from "./store.js";
import type { FileProgress, StreamedTensor, Weights } from "./types.js";

/** Bytes of the first request of a file: most headers fit in. */
const headBytes = 1 << 16;

interface Shard {
  readonly place: Place;
  readonly reader: ByteReader;
  readonly head: Uint8Array; // the file up to its data
  readonly size: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** An error in a header names the file instead of the format. */
function naming<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof HeadwiseError) || error.code !== "invalid-file") throw error;
    throw fileError(file, error.message.replace(/^safetensors: /, ""), error.cause);
  }
}

async function openShard(place: Place, signal: AbortSignal | undefined, listed: boolean): Promise<Shard> {
  const reader = new ByteReader(place, signal, headBytes);
  try {
    const first = (await reader.read(8)).slice();
    const length = naming(reader.file, () => readHeaderLength(first, reader.size ?? Infinity));
    const head = new Uint8Array(8 + length);
    head.set(first);
    head.set(await reader.read(length), 8);
    const { metadata, entries, dataBytes } = naming(reader.file, () => readHeader(head, reader.size ?? Infinity));
    return { place, reader, head, metadata, entries, size: head.length + dataBytes };
  } catch (error) {
    reader.release();
    if (listed && error instanceof Missing)
      throw fileError(place.file, `it is missing, but the index lists it: ${error.message}`);
    throw error;
  }
}

/** The name of each tensor's file, from an index. */
export function readIndex(file: string, index: unknown): Map<string, string> {
  const map = isObject(index) ? index.weight_map : undefined;
  if (!isStrings(map)) throw fileError(file, "its weight_map is not an object of file names by tensor");
  for (const shard of Object.values(map)) {
    if (!/^[^/\\:]+\.safetensors$/.test(shard))
      throw fileError(file, `${show(shard)} is not the name of a safetensors file beside it`);
  }
  return new Map(Object.entries(map));
}

/**
 * Reads the headers of all files, and checks that every tensor occurs once. `index`: the file of each tensor.
 * Throws `Missing` if there is neither an index nor a file.
 */
export async function openWeights(
  places: readonly Place[],
  index: ReadonlyMap<string, string> | undefined,
  options: {
    store: Store | undefined;
    signal: AbortSignal | undefined;
    onProgress: ((progress: FileProgress) => void) | undefined;
  },
): Promise<Weights> {
  const shards: Shard[] = [];
  const close = () => shards.forEach(({ reader }) => reader.release());
  try {
    const tensors = new Map<string, { dtype: string; shape: readonly number[]; file: string }>();
    for (const place of places) {
      const shard = await openShard(place, options.signal, index !== undefined);
      shards.push(shard);
      if (places.length > 1) shard.reader.release(); // browsers allow few connections to a host
      const { file } = place;
      for (const [name, { dtype, shape }] of shard.entries) {
        const other = tensors.get(name)?.file;
        if (other !== undefined) throw fileError(file, `tensor ${show(name)} is in ${other} as well`);
        tensors.set(name, { dtype, shape, file });
      }
    }
    for (const [name, file] of index ?? []) {
      if (tensors.get(name)?.file !== file)
        throw fileError(file, `tensor ${show(name)} is not in it, though the index says so`);
    }
    let streams = false;
    return {
      metadata: Object.assign({}, ...shards.map(({ metadata }) => metadata)),
      tensors,
      bytes: shards.reduce((sum, { size }) => sum + size, 0),
      stream() {
        if (streams) throw new Error("the tensors were streamed already");
        streams = true;
        return stream(shards, options);
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Reports progress in steps of at least 1/256 of the whole, so that a page can draw each. */
function progressOf(total: number, onProgress: ((progress: FileProgress) => void) | undefined) {
  let shown = -Infinity;
  return (file: string, loaded: number) => {
    if (loaded === shown || (loaded - shown < total / 256 && loaded < total)) return;
    shown = loaded;
    onProgress?.({ file, loaded, total });
  };
}

async function* stream(
  shards: readonly Shard[],
  { store, signal, onProgress }: Parameters<typeof openWeights>[2],
): AsyncGenerator<StreamedTensor, void, void> {
  const report = progressOf(
    shards.reduce((sum, { size }) => sum + size, 0),
    onProgress,
  );
  let before = 0; // bytes of the files before this one
  try {
    for (const { place, reader, head, entries, size } of shards) {
      const sink = await keepIfPossible(store, place.url, size);
      try {
        await sink.write(head);
        await sink.write(reader.buffered);
        reader.readsAll = store !== undefined && place.url !== undefined;
        let arrived = head.length + reader.buffered.length;
        reader.onBytes = async (bytes) => {
          arrived += bytes.length;
          report(reader.file, before + arrived);
          await sink.write(bytes);
        };
        const inOrder = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
        for (const [name, entry] of inOrder) {
          const begin = head.length + entry.begin;
          const end = head.length + entry.end;
          await reader.skip(begin - reader.position);
          arrived = Math.max(arrived, reader.position);
          if (signal?.aborted) throw aborted(signal);
          yield streamed(name, entry, reader, begin);
          await reader.skip(end - reader.position); // what was not read
        }
        if (!(await reader.atEnd())) throw fileError(reader.file, `its bytes from ${size} on belong to no tensor`);
        await sink.close();
      } finally {
        sink.abort(); // unless it is closed
        reader.release();
      }
      before += size;
      report(reader.file, before);
    }
  } finally {
    for (const { reader } of shards) reader.release();
  }
}

function streamed(name: string, { dtype, shape, begin, end }: Entry, reader: ByteReader, from: number): StreamedTensor {
  const start = () => {
    if (reader.position !== from) throw new Error(`tensor ${show(name)} was read already, or its turn is over`);
  };
  const bytes = async () => {
    start();
    return reader.read(end - begin);
  };
  return {
    name,
    dtype,
    shape,
    file: reader.file,
    byteLength: end - begin,
    bytes,
    chunks() {
      start();
      return reader.chunks(end - begin);
    },
    floats: async () => floatsOf(name, dtype, await bytes()),
  };
}
