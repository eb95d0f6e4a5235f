/** The files of a published model: its JSON files and its tensors, from any source. */
import { decodeUtf8 } from "../base/utf8.js";
import { HeadwiseError } from "../base/errors.js";
import { ByteReader } from "./byte_reader.js";
import { fileError, Missing, type Place } from "./place.js";
import { addressesOf, placeOf, resolveSource, type ResolvedSource } from "./sources.js";
import { storeOf } from "./choose_store.js";
import { keepIfPossible, orNothing, type Store } from "./store.js";
import type { FilesOptions, ModelFiles, ModelSource, Weights } from "./types.js";
import { openWeights, readIndex } from "./weights.js";

const single = "model.safetensors";
const indexFile = "model.safetensors.index.json";

/** Size limit of files that are read whole. Tokenizers of the largest vocabularies have 40 MB. */
const maxBytes = 1 << 28;

async function readAll(reader: ByteReader): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  while (!(await reader.atEnd())) {
    const part = reader.buffered.slice();
    await reader.skip(part.length);
    parts.push(part);
    length += part.length;
    if (length > maxBytes) throw fileError(reader.file, `it has more than ${maxBytes} bytes`);
  }
  const all = new Uint8Array(length);
  let filled = 0;
  for (const part of parts) {
    all.set(part, filled);
    filled += part.length;
  }
  return all;
}

function parse(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(decodeUtf8(bytes));
  } catch (error) {
    throw fileError(file, `it is not JSON: ${(error as Error).message}`, error);
  }
}

/** A cached file. It is empty if the model has no such file. */
function keptPlace(source: ResolvedSource, file: string, store: Store | undefined): Promise<Place | undefined> {
  const { url } = placeOf(source, file, true);
  return orNothing(url === undefined ? undefined : store?.find(url, file));
}

async function keep(store: Store | undefined, url: string | undefined, bytes: Uint8Array): Promise<void> {
  const sink = await keepIfPossible(store, url, bytes.length);
  await sink.write(bytes);
  await sink.close();
}

export function openFiles(source: ResolvedSource, { cache, signal, onProgress }: FilesOptions = {}): ModelFiles {
  const store = storeOf(cache);

  const findKept = (file: string) => keptPlace(source, file, store);
  const find = async (file: string) => (await findKept(file)) ?? placeOf(source, file, store !== undefined);

  /** Reads a file and caches it, unless `check` refuses its bytes. Throws `Missing`. */
  async function readWhole<T>(place: Place, check: (bytes: Uint8Array, file: string) => T): Promise<T> {
    const reader = new ByteReader(place, signal);
    try {
      const bytes = await readAll(reader);
      if (bytes.length === 0 && (await findKept(place.file)))
        throw new Missing("it was not there when the model was cached");
      const value = check(bytes, place.file);
      await keep(store, place.url, bytes);
      return value;
    } finally {
      reader.release();
    }
  }

  /** The same. A missing file gives undefined, unless it is required. */
  async function readIfThere<T>(file: string, required: boolean, check: (bytes: Uint8Array, file: string) => T) {
    const place = await find(file);
    try {
      return await readWhole(place, check);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      if (required) throw fileError(file, `it is missing: ${error.message}`);
      await keep(store, place.url, new Uint8Array(0)); // so that a model that is cached opens offline
      return undefined;
    }
  }

  const open = async (files: readonly string[], index?: ReadonlyMap<string, string>) =>
    openWeights(await Promise.all(files.map(find)), index, { store, signal, onProgress });

  async function openSharded(reason: string): Promise<Weights> {
    const index = await readWhole(await find(indexFile), parse).catch((error: unknown) => {
      if (!(error instanceof Missing)) throw error;
      throw fileError(single, `it is missing: ${reason}; so is ${indexFile}: ${error.message}`);
    });
    const map = readIndex(indexFile, index);
    return open([...new Set(map.values())].sort(), map);
  }

  return {
    json: (file, required = false) => readIfThere(file, required, parse),
    bytes: (file) =>
      readIfThere(file, false, (bytes) => {
        if (file.endsWith(".json")) parse(bytes, file);
        return bytes;
      }),
    async weights() {
      if (await findKept(indexFile)) return openSharded("");
      try {
        return await open([single]);
      } catch (error) {
        if (error instanceof Missing) return openSharded(error.message);
        throw error;
      }
    },
  };
}

/** Whether the cache has all that `openModel` needs of a model: its configuration and its tensors. */
export async function isCached(source: ModelSource, { cache }: Pick<FilesOptions, "cache"> = {}): Promise<boolean> {
  const resolved = resolveSource(source);
  const store = storeOf(cache);
  const has = async (file: string) => (await keptPlace(resolved, file, store)) !== undefined;
  if (!(await has("config.json"))) return false;
  if (await has(single)) return true;
  if (!(await has(indexFile))) return false;
  const index = readIndex(indexFile, await openFiles(resolved, { cache }).json(indexFile));
  for (const file of new Set(index.values())) if (!(await has(file))) return false;
  return true;
}

/** Deletes a model from the cache, or all models. */
export async function clearCache(source?: ModelSource, { cache }: Pick<FilesOptions, "cache"> = {}): Promise<void> {
  const store = storeOf(cache);
  const resolved = source === undefined ? undefined : resolveSource(source);
  const addresses = resolved === undefined ? [""] : addressesOf(resolved);
  try {
    for (const address of addresses) await store?.clear(address);
  } catch (error) {
    throw new HeadwiseError("unsupported", `clearCache: ${(error as Error).message}`, { cause: error });
  }
}
