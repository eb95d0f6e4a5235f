import { Optimizer } from "./module/adamw.js";
import { analyzeHeads } from "./attention/analyze_heads.js";
import { attention } from "./attention/attention.js";
import { withinLimits, type Stage } from "./runtime/limit.js";
import { locate, type Source } from "./runtime/sources.js";
import { start } from "./runtime/start.js";
import { checkInteger, checkOneOf, checkOptions, invalidOption, maxExtent, typeTag } from "./base/checks.js";
import { choose, startChosen, type Choice } from "./runtime/choose.js";
import { makeDisposable, type NotYetDisposable } from "./base/disposable.js";
import { headImportance } from "./heads/importance.js";
import { Instance } from "./runtime/instance.js";
import { longMethod } from "./base/long_work.js";
import { detectMachine } from "./runtime/machine.js";
import { multiHeadAttention } from "./module/multi_head_attention.js";
import { pruneByImportance } from "./heads/prune_by_importance.js";
import { checkSignal } from "./base/signals.js";
import { rotaryEmbedding } from "./attention/rotary_embedding.js";
import { transformer } from "./transformer/transformer.js";
import { loadTransformer } from "./transformer/load.js";
import type { Headwise } from "./types.js";
import type { LoadOptions } from "./runtime/types.js";

export const loadOptions = ["threads", "simd", "wasm", "timeout", "signal"] as const;

/** Checks the options of `load`, and fills in the defaults. */
export function checkLoadOptions(optionsLike: LoadOptions | undefined) {
  const options = checkOptions(optionsLike, "load", loadOptions);
  const { threads = "auto", simd = "auto", wasm, timeout = 30_000, signal } = options;
  if (threads !== "auto" && typeof threads !== "number")
    throw invalidOption("threads", '"auto" or an integer from 1 to 64', threads);
  if (wasm !== undefined && typeof wasm !== "string" && typeof wasm !== "function" && typeTag(wasm) !== "URL") {
    throw invalidOption("wasm", "the folder of the .wasm files, or a function from file name to source", wasm);
  }
  return {
    threads: threads === "auto" ? threads : checkInteger(threads, "threads", 1, 64),
    simd: checkOneOf(simd, "simd", ["auto", "relaxed", "simd128"] as const),
    wasm,
    timeout: checkInteger(timeout, "timeout", 1, maxExtent),
    signal: checkSignal(signal),
  };
}

/** Starts what was chosen, from where it is. */
export async function startHeadwise(choice: Choice, source: Source, stage: Stage): Promise<Headwise> {
  const { simd, threads, reason } = choice;
  const instance = new Instance(await start(choice, source, stage), choice);
  return makeDisposable<NotYetDisposable<Headwise>>({
    info: Object.freeze({ version: HEADWISE_VERSION, simd, threads, reason }),
    memory() {
      instance.checkAlive();
      return {
        usedBytes: instance.engine.usedBytes(),
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

/** Loads the binary that fits the machine. Each call makes an instance of its own: memory and threads. */
export async function load(optionsLike?: LoadOptions): Promise<Headwise> {
  const options = checkLoadOptions(optionsLike);
  const work = (stage: Stage) =>
    startChosen(
      options,
      async (refused) => choose(options, await detectMachine(), refused),
      async (choice) => startHeadwise(choice, await locate(choice.binary, options.wasm), stage),
    );
  return withinLimits(options, work, (late) => late.dispose());
}
