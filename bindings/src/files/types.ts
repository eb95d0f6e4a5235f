/** The public types of safetensors files. */
import type { Tensor } from "../base/types.js";

/** Type and shape of a tensor, from the file's header. */
export interface SafetensorsInfo {
  /** Element type as the format names it, such as "F32". */
  readonly dtype: string;
  /** Extent of each axis. */
  readonly shape: readonly number[];
}

/** An open safetensors file. Only the header has been read; the bytes of a tensor are read when `tensor` is called. */
export interface Safetensors {
  /** The file's own notes, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Names of the tensors, in the file's order. */
  readonly names: readonly string[];
  /** Type and shape of a tensor, without reading its data. Throws `invalid-option` for an unknown name. */
  info(name: string): SafetensorsInfo;
  /**
   * A tensor by name. F32 data is a view of the file's bytes if they are aligned to 4 bytes, otherwise a copy. F16 and BF16 are
   * converted to float32 exactly. Throws `invalid-file` for other types, `invalid-option` for an unknown name.
   */
  tensor(name: string): Tensor;
}

/** Options of `writeSafetensors`. */
export interface WriteSafetensorsOptions {
  /** Element type in the file. F32 (default) is bit-exact; F16 and BF16 are rounded to nearest, ties to even. */
  dtype?: "F32" | "F16" | "BF16";
  /** Strings by name, for the header's `__metadata__`. Default: none. */
  metadata?: Readonly<Record<string, string>>;
}

/** A model on Hugging Face's hub, or on one with the same addresses: `<endpoint>/<hub>/resolve/<revision>/<file>`. */
export interface HubModel {
  /** Name of the model, "organisation/name". */
  readonly hub: string;
  /** A branch, tag or commit. Default "main". */
  readonly revision?: string;
  /** Address of the hub. Default "https://huggingface.co". */
  readonly endpoint?: string | URL;
}

/** The files of a model by name, each in memory or as an address. */
export type ModelFileMap = Readonly<Record<string, Blob | ArrayBuffer | Uint8Array | URL | string>>;

/**
 * The source of a model's files: the address of a folder, which ends in "/" (in Node also a path); a model on a hub; files by
 * name; or files that were dropped on a page or selected in it.
 */
export type ModelSource = string | URL | HubModel | ModelFileMap | FileList | readonly File[];

/** Progress of reading a model's tensors. */
export interface FileProgress {
  /** Name of the file that is read now. */
  readonly file: string;
  /** Bytes read, of all files together. */
  readonly loaded: number;
  /** Bytes of all files together. */
  readonly total: number;
}

/** How files are fetched and kept. */
export interface FilesOptions {
  /**
   * Whether to cache downloaded files. In browsers: whether to use the Cache API (default true). In Node: the cache folder (default:
   * no cache). Files that could not be cached are downloaded again the next time.
   */
  cache?: boolean | string;
  /** Cancels the opening when it aborts: it rejects with code `aborted`. */
  signal?: AbortSignal;
  /** Called while tensors arrive. If it throws, the work ends with that error. */
  onProgress?: (progress: FileProgress) => void;
}

/** The current tensor of a stream. It can be read once, before the next tensor is requested; otherwise it is skipped. */
export interface StreamedTensor {
  /** Name of the tensor. */
  readonly name: string;
  /** Element type as the format names it, such as "F32". */
  readonly dtype: string;
  /** Extent of each axis. */
  readonly shape: readonly number[];
  /** Name of the file that it is in. */
  readonly file: string;
  /** Its size in the file, in bytes. */
  readonly byteLength: number;
  /** All bytes of the tensor, little endian, at any alignment. Valid until the next tensor is requested. */
  bytes(): Promise<Uint8Array>;
  /** The bytes of the tensor in pieces, as they arrive. Each piece is valid until the next one is requested. */
  chunks(): AsyncGenerator<Uint8Array, void, void>;
  /** The elements as float32, from F32, F16 or BF16. Throws `invalid-file` for other types. Valid until the next tensor is requested. */
  floats(): Promise<Float32Array>;
}

/** The tensors of all files of a model. Their headers have been read and checked. */
export interface Weights {
  /** The files' own notes, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The tensors by name, with the file that each is in. */
  readonly tensors: ReadonlyMap<string, SafetensorsInfo & { readonly file: string }>;
  /** Total size of the files in bytes. */
  readonly bytes: number;
  /** All tensors in the order of the files. Can be called once. Leaving the loop ends the connections. */
  stream(): AsyncGenerator<StreamedTensor, void, void>;
  /** Ends the connections if `stream` is not used. */
  close(): void;
}

/** The files of a published model. */
export interface ModelFiles {
  /** Reads a JSON file. A missing file gives undefined, or throws `invalid-file` if it is required. */
  json(file: string, required?: boolean): Promise<unknown>;
  /** Reads any file whole. A missing file gives undefined; a name that ends in ".json" is one of a JSON file, which is checked. */
  bytes(file: string): Promise<Uint8Array | undefined>;
  /** Reads and checks the headers of the safetensors files. */
  weights(): Promise<Weights>;
}
