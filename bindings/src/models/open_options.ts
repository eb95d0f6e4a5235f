/** The options of `openModel`. */
import { checkFunction, integer, invalidOption, oneOf, type Check } from "../base/checks.js";
import { optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { checkSignal } from "../base/signals.js";
import { dtypes } from "../runtime/native.js";
import type { FilesOptions } from "../files/types.js";
import type { OpenModelOptions } from "./opened_types.js";

/** What `headwise/worker` gives beside the options. */
export interface InsideOptions extends OpenModelOptions {
  /** By which it finds the model's tokenizer, which is on its side. */
  readonly key?: number;
}

const checkCache: Check<FilesOptions["cache"]> = (value, name) => {
  if (typeof value === "boolean" || typeof value === "string") return value;
  throw invalidOption(name, "true, false or a folder", value);
};

const optionTable = {
  dtype: withDefault(oneOf(["auto", ...dtypes]), "auto"),
  tower: optional(oneOf(["text", "vision"])),
  maxTokens: optional(integer(1)),
  cache: optional(checkCache),
  signal: optional(checkSignal),
  onProgress: optional(checkFunction as unknown as Check<FilesOptions["onProgress"]>),
} satisfies OptionTable<OpenModelOptions>;

const insideTable = { ...optionTable, key: optional(integer(0)) } satisfies OptionTable<InsideOptions>;

export const readOpenOptions = (options: OpenModelOptions | undefined) =>
  readOptions(options, "openModel", optionTable);
export const readInsideOptions = (options: InsideOptions | undefined) => readOptions(options, "openModel", insideTable);
