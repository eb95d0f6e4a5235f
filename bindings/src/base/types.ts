/** Tensors, and what long work takes: the public types that everything else uses. Tensors are float32 and row-major. */

declare global {
  interface SymbolConstructor {
    /** As the library "esnext.disposable" declares it, for programs that are compiled without. */
    readonly dispose: unique symbol;
  }
}

/** A dense tensor that JavaScript owns: `data.length` is the product of `shape`. */
export interface Tensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** A `Float16Array`, where the engine has it. */
export interface HalfFloats {
  readonly [Symbol.toStringTag]: "Float16Array";
  readonly length: number;
  readonly [index: number]: number;
}

/**
 * What every call accepts as a tensor: ours, one of half floats, which become float32, or one with `dims` such as ONNX
 * Runtime's and transformers.js's.
 */
export type TensorLike =
  | { readonly data: Float32Array | HalfFloats; readonly shape: readonly number[] }
  | { readonly data: unknown; readonly dims: readonly number[] };

/** Token ids: integers in a typed array of any of these types, or in a plain array of at most 2^20. */
export type TokenIds = Int32Array | Uint8Array | Uint16Array | Uint32Array | BigInt64Array | readonly number[];

/** Tokens: one sequence [L], or B of one length [B, L]. As a tensor with `dims`, what tokenizers of transformers.js return. */
export type Tokens =
  | TokenIds
  | { readonly data: TokenIds; readonly shape: readonly number[] }
  | { readonly data: unknown; readonly dims: readonly number[] };

/** A result that is there because it was asked for. */
export type Asked<Return, Name extends string> =
  Return extends Record<Name, string> ? { readonly [name in Name]: Tensor } : unknown;

/** A Uint8Array whose buffer is an ArrayBuffer, in a form that TypeScript before 5.7 understands too. */
export type Bytes = ReturnType<Uint8ArrayConstructor["of"]>;

/** How far long work is: `done` of `total` steps. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Options of long work. */
export interface Watchable {
  /** Is called after each step. What it throws ends the work. */
  onProgress?: (progress: Progress) => void;
}
