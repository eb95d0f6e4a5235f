/** Measures the size of models in bytes and their time in milliseconds. */
import { counter, type CheckedBatch } from "./batches.js";
import type { Instance } from "../runtime/instance.js";
import type { LongWork } from "../base/long_work.js";
import type { ModelCost } from "./types.js";
import type { AnyTransformer, ModelInput } from "../transformer/types.js";

const leastRounds = 5;
const enoughMilliseconds = 1000; // of all rounds: a pass of a large batch may take a second
const mostRounds = 20; // with 7, a model with 3 of 4 heads seemed slower in 4 of 40 runs on a busy machine; with 20, in none
const leastMilliseconds = 5; // of one sample: clocks of browsers may tick in whole milliseconds
const mostPasses = 1024; // of one sample, in case the clock does not advance

/** Bytes that a copy of the model takes. */
function bytesOf(instance: Instance, model: AnyTransformer): number {
  let bytes = 0;
  for (let n = 0; n < 2; ++n) {
    // Twice, because the first copy may also enlarge the buffers that are kept between calls.
    const before = instance.engine.alive().usedBytes(); // throws if onProgress has disposed of it
    const copy = model.prune({});
    bytes = instance.engine.alive().usedBytes() - before;
    copy.dispose();
  }
  return bytes;
}

/** As much as the model reads at once: tokens 0, or a black image. */
function longestInput({ contextLength, patches }: AnyTransformer["config"]): ModelInput {
  if (patches === undefined) return new Int32Array(contextLength);
  const { channels, size, grid } = patches;
  const shape = [1, channels, size * grid[0], size * grid[1]];
  return { pixels: { data: new Float32Array(shape.reduce((product, extent) => product * extent)), shape } };
}

/** A model to time. `passes`: the number of passes in a sample. */
interface Run {
  readonly pass: () => void;
  passes: number;
  readonly samples: number[];
}

/** Milliseconds of one pass, from a sample of enough passes. */
function sample(run: Run): number {
  for (;;) {
    const start = performance.now();
    for (let n = 0; n < run.passes; ++n) run.pass();
    const milliseconds = performance.now() - start;
    if (milliseconds >= leastMilliseconds || run.passes >= mostPasses) return milliseconds / run.passes;
    run.passes *= 2;
  }
}

/** Measures the size of each model and the time of one `forward`. The models take turns, so that all get the machine's quiet moments. */
export function* costOf(
  instance: Instance,
  models: readonly AnyTransformer[],
  batches: readonly CheckedBatch[],
): LongWork<Omit<ModelCost, "loss">[]> {
  const input = batches[0]?.tokens ?? longestInput(models[0]!.config);
  const runs = models.map((model): Run => ({ pass: () => void model.forward(input), passes: 1, samples: [] }));
  const warmUp = runs.reduce((sum, run) => sum + sample(run) * run.passes, 0);
  const rounds = Math.min(mostRounds, Math.max(leastRounds, Math.floor(enoughMilliseconds / warmUp)));
  const step = counter(rounds * models.length);
  for (let round = 0; round < rounds; ++round) {
    for (const run of runs) {
      run.samples.push(sample(run));
      yield step();
    }
  }
  return models.map((model, n) => ({
    parameters: model.parameterCount,
    bytes: bytesOf(instance, model),
    milliseconds: Math.min(...runs[n]!.samples), // other work on the machine only adds time
  }));
}
