/** The source of a model's files, as `openModel` takes it, and the place of each file. */
import { invalidOption, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { isBlob, isObject, typeTag } from "../base/kinds.js";
import { nodeBuiltin } from "../base/node.js";
import { addressPlace } from "./address_place.js";
import { nodePlace } from "./node_place.js";
import { blobPlace, memoryPlace, missingPlace, type Place } from "./place.js";
import type { HubModel, ModelSource } from "./types.js";

const hubEndpoint = "https://huggingface.co";

/**
 * A source as plain data that can be sent to a worker: the address of a folder, or files by name, each in memory or as an address.
 * Addresses are absolute.
 */
export type ResolvedSource =
  { readonly folder: string } | { readonly files: ReadonlyMap<string, Blob | Uint8Array | string> };

/** Resolves an address relative to the page. In Node it may be a path relative to the working directory. */
function absolute(address: string | URL, name: string): string {
  if (address instanceof URL) return address.href;
  if (/^[a-z][a-z0-9+.-]+:/i.test(address)) return checkedUrl(address, undefined, name);
  const url = nodeBuiltin("node:url");
  if (url !== undefined) return url.pathToFileURL(address).href;
  return checkedUrl(address, globalThis.document?.baseURI ?? globalThis.location?.href, name);
}

function checkedUrl(address: string, base: string | undefined, name: string): string {
  try {
    return new URL(address, base).href;
  } catch {
    throw invalidOption(name, "an address", address);
  }
}

function resolveFolder(address: string | URL): ResolvedSource {
  const folder = absolute(address, "source");
  if (!new URL(folder).pathname.endsWith("/"))
    throw invalidOption("source", 'a folder, whose address ends in "/"', String(address));
  return { folder };
}

function resolveHub({ hub, revision = "main", endpoint = hubEndpoint, ...others }: HubModel): ResolvedSource {
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined)
    throw new HeadwiseError(
      "invalid-option",
      `source: unknown option ${show(unknown)}; there are hub, revision, endpoint`,
    );
  if (typeof hub !== "string" || !/^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(hub))
    throw invalidOption("source.hub", '"organisation/name"', hub);
  if (typeof revision !== "string" || /^\.{0,2}$/.test(revision))
    throw invalidOption("source.revision", "a branch, tag or commit", revision);
  if (typeof endpoint !== "string" && !(endpoint instanceof URL))
    throw invalidOption("source.endpoint", "an address", endpoint);
  const host = absolute(endpoint, "source.endpoint").replace(/\/$/, "");
  return { folder: `${host}/${hub}/resolve/${encodeURIComponent(revision)}/` };
}

/** Dropped files, by their path in the folder that holds config.json. */
function resolveDropped(list: ArrayLike<unknown>): ResolvedSource {
  const files = Array.from(list, (file) => {
    if (!isBlob(file)) throw invalidOption("source", "an array of Files", file);
    const { name, webkitRelativePath } = file as File;
    return { path: webkitRelativePath || name, file };
  });
  const folders = files
    .flatMap(({ path }) => /^(.*\/)?config\.json$/.exec(path)?.slice(1) ?? [])
    .map((folder = "") => folder);
  const top = folders.sort((one, other) => one.split("/").length - other.split("/").length)[0] ?? "";
  const within = files.filter(({ path }) => path.startsWith(top));
  return { files: new Map(within.map(({ path, file }) => [path.slice(top.length), file])) };
}

function resolveMap(map: Record<string, unknown>): ResolvedSource {
  const resolve = (value: unknown, name: string) => {
    if (typeof value === "string" || value instanceof URL) return absolute(value, name);
    if (isBlob(value)) return value;
    const tag = typeTag(value);
    if (tag === "Uint8Array") return value as Uint8Array;
    if (tag === "ArrayBuffer" || tag === "SharedArrayBuffer") return new Uint8Array(value as ArrayBuffer);
    throw invalidOption(name, "a Blob, an ArrayBuffer, a Uint8Array or an address", value);
  };
  return { files: new Map(Object.entries(map).map(([name, value]) => [name, resolve(value, `source, ${name}`)])) };
}

/** Checks a source and makes its addresses absolute. This runs on the calling thread, whose base address counts. */
export function resolveSource(source: unknown): ResolvedSource {
  if (typeof source === "string" || source instanceof URL) return resolveFolder(source);
  if (!isObject(source) || isBlob(source) || ArrayBuffer.isView(source) || typeTag(source) === "ArrayBuffer")
    throw invalidOption(
      "source",
      "a folder's address, { hub }, an object of files by name, or an array of Files",
      source,
    );
  if (Array.isArray(source) || typeTag(source) === "FileList")
    return resolveDropped(source as unknown as ArrayLike<unknown>);
  if (typeof source.hub === "string" || "endpoint" in source || "revision" in source)
    return resolveHub(source as unknown as HubModel);
  return resolveMap(source);
}

/** The address of a file, if it has one. */
function addressOf(source: ResolvedSource, file: string): string | undefined {
  if ("files" in source) {
    const value = source.files.get(file);
    return typeof value === "string" ? value : undefined;
  }
  const url = new URL(source.folder); // its query, such as a token, applies to every file
  url.pathname += file.split("/").map(encodeURIComponent).join("/");
  return url.href;
}

/** The place of a file. `cached`: Headwise caches it itself. */
export function placeOf(source: ResolvedSource, file: string, cached: boolean): Place {
  const url = addressOf(source, file);
  if (url?.startsWith("file:") && nodeBuiltin("node:url") !== undefined) return nodePlace(file, new URL(url));
  if (url !== undefined) return addressPlace(file, url, cached);
  const value = "files" in source ? source.files.get(file) : undefined;
  if (typeof value !== "object") return missingPlace(file);
  return isBlob(value) ? blobPlace(file, value) : memoryPlace(file, value);
}

/** The prefixes of the addresses of a source's files. */
export function addressesOf(source: ResolvedSource): string[] {
  if ("files" in source) return [...source.files.values()].filter((value) => typeof value === "string");
  const url = new URL(source.folder);
  url.search = "";
  return [url.href];
}

/** The source again, as it is sent to a worker. */
export const sendableSource = (source: ResolvedSource): ModelSource =>
  "folder" in source ? source.folder : Object.fromEntries(source.files);
