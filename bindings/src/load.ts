import { withinLimits, type Stage } from "./runtime/limit.js";
import { locate } from "./runtime/sources.js";
import { checkInteger, integer, invalidOption, oneOf } from "./base/checks.js";
import { typeTag } from "./base/kinds.js";
import { choose, startChosen } from "./runtime/choose.js";
import { optional, readOptions, withDefault, type OptionTable } from "./base/options.js";
import { detectMachine } from "./runtime/machine.js";
import { checkSignal } from "./base/signals.js";
import { startHeadwise, type Opening } from "./start_headwise.js";
import type { Headwise } from "./types.js";
import type { LoadOptions } from "./runtime/types.js";

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

/** The options of `load`. */
export const loadTable = {
  threads: withDefault(checkThreads, "auto"),
  simd: withDefault(oneOf(["auto", "relaxed", "simd128"]), "auto"),
  wasm: optional(checkWasm),
  timeout: withDefault(integer(1), 30_000),
  signal: optional(checkSignal),
} satisfies OptionTable<LoadOptions>;

const opening: Opening = (instance) => ({
  openModel: async (...args) => (await import("./models/open_here.js")).openHere(instance, ...args),
  isCached: async (...args) => (await import("./files/model_files.js")).isCached(...args),
  clearCache: async (...args) => (await import("./files/model_files.js")).clearCache(...args),
});

/** Loads Headwise with the binary that fits the machine. Each call makes an instance with its own memory and threads. */
export async function load(optionsLike?: LoadOptions): Promise<Headwise> {
  const options = readOptions(optionsLike, "load", loadTable);
  const work = (stage: Stage) =>
    startChosen(
      options,
      async (refused) => choose(options, await detectMachine(), refused),
      async (choice) => {
        stage.waitFor(`wasm, which was asked for headwise-${choice.binary}.wasm`, "invalid-file");
        return startHeadwise(choice, await locate(choice.binary, options.wasm), stage, opening);
      },
    );
  return withinLimits(options, work, (late) => late.dispose());
}
