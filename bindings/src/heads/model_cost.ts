/** What models cost: bytes and milliseconds, measured. */
import { counter, type CheckedBatch } from "./batches.js";
import type { Tokens } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import type { LongWork } from "../base/long_work.js";
import type { ModelCost } from "./types.js";
import type { Transformer } from "../transformer/types.js";

const rounds = 20; // on a busy machine a model with 3 of 4 heads seemed the slower one in 4 of 40 runs with 7, in none with 20
const leastMilliseconds = 5; // of what is timed at once: clocks of browsers may tick in whole milliseconds
const mostPasses = 1024; // clocks may stand still, too

/** Bytes that a copy of the model takes. */
function bytesOf(instance: Instance, model: Transformer): number {
  let bytes = 0;
  for (let n = 0; n < 2; ++n) {
    // Twice, since the first copy may also make the buffers grow that are kept from call to call.
    const before = instance.engine.alive().usedBytes(); // unless onProgress has disposed of it
    const copy = model.prune({});
    bytes = instance.engine.alive().usedBytes() - before;
    copy.dispose();
  }
  return bytes;
}

/** Passes of a model, as many at once as its last sample took. */
interface Run {
  readonly pass: () => void;
  passes: number;
  readonly samples: number[];
}

/** Milliseconds of one pass, from as many as take long enough. */
function sample(run: Run): number {
  for (;;) {
    const start = performance.now();
    for (let n = 0; n < run.passes; ++n) run.pass();
    const milliseconds = performance.now() - start;
    if (milliseconds >= leastMilliseconds || run.passes >= mostPasses) return milliseconds / run.passes;
    run.passes *= 2;
  }
}

/** Sizes of models, and the time of one `forward` of each. They are timed by turns, so that all have the machine's quiet moments. */
export function* costOf(
  instance: Instance,
  models: readonly Transformer[],
  batches: readonly CheckedBatch[],
): LongWork<Omit<ModelCost, "loss">[]> {
  const tokens: Tokens = batches[0]?.tokens ?? new Int32Array(models[0]!.config.contextLength);
  const runs = models.map((model): Run => ({ pass: () => void model.forward(tokens), passes: 1, samples: [] }));
  const step = counter((1 + rounds) * models.length);
  for (let round = 0; round <= rounds; ++round) {
    for (const run of runs) {
      const milliseconds = sample(run);
      if (round > 0) run.samples.push(milliseconds); // the first is a warm-up
      yield step();
    }
  }
  return models.map((model, n) => ({
    parameters: model.parameterCount,
    bytes: bytesOf(instance, model),
    milliseconds: Math.min(...runs[n]!.samples), // what else the machine does only adds
  }));
}
