/** The public types of safetensors files. */
import type { Tensor } from "../base/types.js";

/** Type and shape of a tensor, from the file's header. */
export interface SafetensorsInfo {
  /** Element type as the format names it, such as "F32". */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** An open safetensors file. Only the header has been read; the bytes of a tensor are read when `tensor` is called. */
export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>;
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

/** A model on a hub, by Hugging Face's addresses: `<endpoint>/<hub>/resolve/<revision>/<file>`. */
export interface HubModel {
  /** "organisation/name". */
  readonly hub: string;
  /** A branch, tag or commit. Default "main". */
  readonly revision?: string;
  /** Where the hub is. Default "https://huggingface.co". */
  readonly endpoint?: string | URL;
}

/** A model's files by name, each in memory or at an address. */
export type ModelFileMap = Readonly<Record<string, Blob | ArrayBuffer | Uint8Array | URL | string>>;

/**
 * Where a model's files are: the address of a folder, which ends in "/" (in Node also a path); a model on a hub; files by
 * name; files as they were dropped on a page or chosen in it.
 */
export type ModelSource = string | URL | HubModel | ModelFileMap | FileList | readonly File[];

/** How far the tensors of a model are: bytes of all files together, and the file that is being read. */
export interface FileProgress {
  readonly file: string;
  readonly loaded: number;
  readonly total: number;
}

export interface FilesOptions {
  /**
   * Whether to keep what is downloaded. In browsers in the Cache API (default true); in Node the folder to keep it in
   * (default: nowhere). Where it cannot be kept it is downloaded again.
   */
  cache?: boolean | string;
  signal?: AbortSignal;
  /** Is called while tensors arrive. What it throws ends the work. */
  onProgress?: (progress: FileProgress) => void;
}

/** A tensor whose turn it is in a stream. Read it once, before the next is asked for; unread, it is skipped. */
export interface StreamedTensor {
  readonly name: string;
  /** The file's name of the type, such as "F32". */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
  readonly byteLength: number;
  /** All its bytes, little endian, at any alignment. They are valid until the next tensor is asked for. */
  bytes(): Promise<Uint8Array>;
  /** Its bytes in pieces, in order, as they come. Each is valid until the next is asked for. */
  chunks(): AsyncGenerator<Uint8Array, void, void>;
  /** Its elements as float32, from F32, F16 or BF16; else throws `invalid-file`. Valid as long as `bytes()`. */
  floats(): Promise<Float32Array>;
}

/** The tensors of all files of a model. Their headers have been read and checked. */
export interface Weights {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, SafetensorsInfo & { readonly file: string }>;
  /** Bytes of the files. */
  readonly bytes: number;
  /** All tensors in the order of the files, once. Leaving the loop ends the connections. */
  stream(): AsyncGenerator<StreamedTensor, void, void>;
  /** Ends the connections, where there is no stream to do that. */
  close(): void;
}

/** The files of a published model. */
export interface ModelFiles {
  /** A JSON file; undefined where it is not there, which is `invalid-file` if it is required. */
  json(file: string, required?: boolean): Promise<unknown>;
  /** Reads the headers of the tensors' files. */
  weights(): Promise<Weights>;
}
