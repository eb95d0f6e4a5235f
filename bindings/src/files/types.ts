/** The public types of safetensors files. */
import type { Tensor } from "../base/types.js";

/** What a file's header says of a tensor. */
export interface SafetensorsInfo {
  /** The file's name of the type, such as "F32". */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** An open safetensors file. Of the file's bytes no more is read than the header, until a tensor is asked for. */
export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  /** Type and shape, without reading the tensor. Throws `invalid-option` for an unknown name. */
  info(name: string): SafetensorsInfo;
  /**
   * The tensor. F32 is a view of the file's bytes where these are aligned to 4, else a copy; F16 and BF16 become float32
   * exactly. Throws `invalid-file` for other types, `invalid-option` for an unknown name.
   */
  tensor(name: string): Tensor;
}

/** Options of `writeSafetensors`. */
export interface WriteSafetensorsOptions {
  /** Type in the file: F32 (default) is bit-exact; F16 and BF16 are rounded to nearest, ties to even. */
  dtype?: "F32" | "F16" | "BF16";
  metadata?: Readonly<Record<string, string>>;
}
