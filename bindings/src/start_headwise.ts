/** An instance: what `load` gives, and what answers the calls of `headwise/worker` in its worker. */
import { Optimizer } from "./module/adamw.js";
import { analyzeHeads } from "./attention/analyze_heads.js";
import { attention } from "./attention/attention.js";
import type { Stage } from "./runtime/limit.js";
import type { Source } from "./runtime/sources.js";
import { start } from "./runtime/start.js";
import type { Choice } from "./runtime/choose.js";
import { makeDisposable, type NotYetDisposable } from "./base/disposable.js";
import { headImportance } from "./heads/importance.js";
import type { AnalysisName } from "./inside/names.js";
import { Instance } from "./runtime/instance.js";
import { longMethod } from "./base/long_work.js";
import { multiHeadAttention } from "./module/multi_head_attention.js";
import { pruneByImportance } from "./heads/prune_by_importance.js";
import { rotaryEmbedding } from "./attention/rotary_embedding.js";
import { transformer } from "./transformer/transformer.js";
import { loadTransformer } from "./transformer/load.js";
import type { Headwise } from "./types.js";

/**
 * What opens published models, and what looks inside of models. Its code is large. Pages load it on demand. The worker has what opens
 * models from the start, and loads the analyses on demand.
 */
export type OnDemand = (instance: Instance) => Pick<Headwise, "openModel" | "isCached" | "clearCache" | AnalysisName>;

/** Starts what was chosen, from where it is. */
export async function startHeadwise(choice: Choice, source: Source, stage: Stage, later: OnDemand): Promise<Headwise> {
  const { simd, threads, reason } = choice;
  const instance = new Instance(await start(choice, source, stage), choice);
  const demanded = later(instance);
  instance.groupHeads = demanded.groupHeads as Instance["groupHeads"];
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
    pruneByImportance: longMethod((...args: [never, never, never]) =>
      pruneByImportance(instance, ...args),
    ) as unknown as Headwise["pruneByImportance"],
    ...demanded,
    dispose: () => instance.dispose(),
  });
}
