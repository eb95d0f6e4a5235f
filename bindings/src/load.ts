import { Optimizer } from "./module/adamw.js";
import { analyzeHeads } from "./attention/analyze_heads.js";
import { attention } from "./attention/attention.js";
import { withinLimits, type Stage } from "./runtime/limit.js";
import { locate, type Source } from "./runtime/sources.js";
import { start } from "./runtime/start.js";
import { checkInteger, integer, invalidOption, oneOf } from "./base/checks.js";
import { typeTag } from "./base/kinds.js";
import { choose, startChosen, type Choice } from "./runtime/choose.js";
import { makeDisposable, type NotYetDisposable } from "./base/disposable.js";
import { headImportance } from "./heads/importance.js";
import { Instance } from "./runtime/instance.js";
import { longMethod } from "./base/long_work.js";
import { optional, readOptions, withDefault, type OptionTable } from "./base/options.js";
import { detectMachine } from "./runtime/machine.js";
import { multiHeadAttention } from "./module/multi_head_attention.js";
import { pruneByImportance } from "./heads/prune_by_importance.js";
import { checkSignal } from "./base/signals.js";
import { rotaryEmbedding } from "./attention/rotary_embedding.js";
import { transformer } from "./transformer/transformer.js";
import { loadTransformer } from "./transformer/load.js";
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

/** Starts the chosen binary and makes the instance. */
export async function startHeadwise(choice: Choice, source: Source, stage: Stage): Promise<Headwise> {
  const { simd, threads, reason } = choice;
  const instance = new Instance(await start(choice, source, stage), choice);
  return makeDisposable<NotYetDisposable<Headwise>>({
    info: Object.freeze({ version: HEADWISE_VERSION, simd, threads, reason }),
    memory() {
      return {
        usedBytes: instance.engine.alive().usedBytes(),
        capacityBytes: instance.memory.buffer.byteLength,
        liveObjects: instance.live.size,
      };
    },
    attention: (query, key, value, options) => attention(instance, query, key, value, options),
    rotaryEmbedding: (x, options) => rotaryEmbedding(instance, x, options),
    analyzeHeads: (weights, options) => analyzeHeads(instance, weights, options),
    multiHeadAttention: (config) => multiHeadAttention(instance, config),
    transformer: (config) => transformer(instance, config),
    loadTransformer: (bytes) => loadTransformer(instance, bytes),
    adamW: (options) => new Optimizer(instance, options),
    headImportance: longMethod((...args) => headImportance(instance, ...args)),
    pruneByImportance: longMethod((...args) => pruneByImportance(instance, ...args)),
    dispose: () => instance.dispose(),
  });
}

/** Loads Headwise with the binary that fits the machine. Each call makes an instance with its own memory and threads. */
export async function load(optionsLike?: LoadOptions): Promise<Headwise> {
  const options = readOptions(optionsLike, "load", loadTable);
  const work = (stage: Stage) =>
    startChosen(
      options,
      async (refused) => choose(options, await detectMachine(), refused),
      async (choice) => {
        stage.waitFor(`wasm, which was asked for headwise-${choice.binary}.wasm`, "invalid-file");
        return startHeadwise(choice, await locate(choice.binary, options.wasm), stage);
      },
    );
  return withinLimits(options, work, (late) => late.dispose());
}
