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
