/** The public types of tensors, of token ids and of progress. Tensors are float32 and row-major. */

declare global {
  interface SymbolConstructor {
    /** Declared as in TypeScript's library "esnext.disposable", for programs that are compiled without that library. */
    readonly dispose: unique symbol;
  }
}

/** A dense tensor that JavaScript owns: `data.length` is the product of `shape`. */
export interface Tensor {
  /** Elements, row-major. */
  readonly data: Float32Array;
  /** Extent of each axis. */
  readonly shape: readonly number[];
}

/** A `Float16Array`, described structurally because older versions of TypeScript do not know the class. */
export interface HalfFloats {
  /** The name of its class. */
  readonly [Symbol.toStringTag]: "Float16Array";
  /** Number of elements. */
  readonly length: number;
  readonly [index: number]: number;
}

/**
 * What every call accepts as a tensor: `{ data, shape }` with float32 data; the same with float16 data, which is converted to
 * float32; or an object with `data` and `dims`, such as a tensor of ONNX Runtime or transformers.js.
 */
export type TensorLike =
  | { readonly data: Float32Array | HalfFloats; readonly shape: readonly number[] }
  | { readonly data: unknown; readonly dims: readonly number[] };

/** Token ids: integers in a typed array of one of these types, or in a plain array of at most 2^20 elements. */
export type TokenIds = Int32Array | Uint8Array | Uint16Array | Uint32Array | BigInt64Array | readonly number[];

/** Tokens: one sequence [L], or B sequences of equal length [B, L]. The tensors that tokenizers of transformers.js return have `dims`. */
export type Tokens =
  | TokenIds
  | { readonly data: TokenIds; readonly shape: readonly number[] }
  | { readonly data: unknown; readonly dims: readonly number[] };

/** The member `Name` of a result: present where the type of the options requests it. */
export type Asked<Return, Name extends string> =
  Return extends Record<Name, string> ? { readonly [name in Name]: Tensor } : unknown;

/** A Uint8Array over an ArrayBuffer (not a SharedArrayBuffer), written so that TypeScript before 5.7 accepts it. */
export type Bytes = ReturnType<Uint8ArrayConstructor["of"]>;

/** Progress of long work: `done` of `total` steps. `done` may be a fraction. */
export interface Progress {
  /** Calls, steps or parts that are done. */
  readonly done: number;
  /** How many there are; may grow while heads are removed. */
  readonly total: number;
}

/** Options of long work. */
export interface Watchable {
  /** Called after each step. If it throws, the work ends with that error. */
  onProgress?: (progress: Progress) => void;
}
