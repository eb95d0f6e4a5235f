// Random calls of the public API: what they give is what the reference confirms, or a HeadwiseError with the right code;
// and the instance is afterwards what it was before. A failure prints how to run its smallest case alone.
import fc from "fast-check";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { random } from "../js/reference.mjs";
import { expect, expectSame } from "./attention_oracle.mjs";
import { damagedFiles, formats } from "./formats.mjs";
import { analysis, attention, rotaryEmbedding } from "./operators.mjs";
import { caching, module } from "./modules.mjs";
import { refusal, workerRefusal } from "./refusals.mjs";

const properties = {
  attention,
  rotaryEmbedding,
  analysis,
  module,
  caching,
  formats,
  damagedFiles,
  refusal,
  workerRefusal,
};

/** A call whose result is known, as bits. */
function knownCase(hw) {
  const x = random([1, 2, 9, 8], 1);
  return hw.attention(x, x, x, { causal: true, return: { weights: "probabilities" } });
}

/** Bytes in use once what is kept from call to call is given back, as it is when memory is out. */
function bytesAtRest(hw) {
  try {
    hw.multiHeadAttention({ embedDim: 2 ** 20, numHeads: 1 });
  } catch (error) {
    if (error.code !== "out-of-memory") throw error;
  }
  return hw.memory().usedBytes;
}

/**
 * Runs each property (or `only` one) for its share of `seconds`, or `runs` times. `path` runs one case alone. Throws at the
 * first failure, shrunk; returns the runs of each.
 */
export async function fuzzApi({ seconds = Infinity, runs = 1e9, seed = Date.now() % 2 ** 31, simd, only, path }) {
  const chosen = Object.entries(properties).filter(([name]) => only === undefined || name === only);
  const [hw, threaded] = [await load({ simd, threads: 1 }), await load({ simd, threads: 2 })];
  const worker = await loadWorker({ simd, threads: 1 });
  const [before, atRest] = [knownCase(hw), bytesAtRest(hw)];
  const counts = {};
  try {
    for (const [name, { arbitrary, check }] of chosen) {
      const used = name === "workerRefusal" ? worker : hw;
      const result = await fc.check(
        fc.asyncProperty(arbitrary, async (each) => {
          const { liveObjects } = await used.memory(); // after a failure, while its case shrinks, perhaps not 0
          await check({ hw, threaded, worker }, each);
          const left = (await used.memory()).liveObjects;
          expect(left <= liveObjects, `${left} objects are left, ${liveObjects} before`);
        }),
        { seed, path, numRuns: runs, interruptAfterTimeLimit: (1000 * seconds) / chosen.length, maxSkipsPerRun: 10 },
      );
      if (result.failed) {
        const again = `node tests/fuzz/run.mjs api --only ${name} --seed ${seed} --path ${result.counterexamplePath}`;
        const what = `${name}, after ${result.numRuns} runs: ${result.errorInstance?.stack}`;
        throw new Error(`${what}\n${fc.stringify(result.counterexample)}\nAgain: ${again}`);
      }
      counts[name] = result.numRuns;
    }
    const after = knownCase(hw);
    expectSame(after.output, before.output, "a known case, after all: output");
    expectSame(after.weights, before.weights, "a known case, after all: weights");
    expect(bytesAtRest(hw) === atRest, `${bytesAtRest(hw)} bytes are left, ${atRest} before`);
    expect(hw.memory().capacityBytes < 2 ** 28, `memory has grown to ${hw.memory().capacityBytes} bytes`);
    return { seed, ...counts };
  } finally {
    hw.dispose();
    threaded.dispose();
    await worker.dispose();
  }
}
