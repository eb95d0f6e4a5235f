/** The options of `load`. */
import { checkInteger, integer, invalidOption, oneOf } from "../base/checks.js";
import { typeTag } from "../base/kinds.js";
import { optional, withDefault, type OptionTable } from "../base/options.js";
import { checkSignal } from "../base/signals.js";
import type { LoadOptions } from "./types.js";

function checkThreads(value: unknown, name: string): number | "auto" {
  if (value === "auto") return value;
  if (typeof value !== "number") throw invalidOption(name, '"auto" or an integer from 1 to 64', value);
  return checkInteger(value, name, 1, 64);
}

function checkWasm(value: unknown, name: string): NonNullable<LoadOptions["wasm"]> {
  if (typeof value === "string" || typeof value === "function" || typeTag(value) === "URL")
    return value as NonNullable<LoadOptions["wasm"]>;
  throw invalidOption(name, "the folder of the .wasm files, or a function from file name to source", value);
}

export const loadTable = {
  threads: withDefault(checkThreads, "auto"),
  simd: withDefault(oneOf(["auto", "relaxed", "simd128"]), "auto"),
  wasm: optional(checkWasm),
  timeout: withDefault(integer(1), 30_000),
  signal: optional(checkSignal),
} satisfies OptionTable<LoadOptions>;
