// One lane of the soak test: a worker in which models are opened, used and disposed at random, round after round.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { HeadwiseError, load } from "../../dist/worker.js";

/** A stream of random numbers: `below(n)`, `chance(p)`, `pick(list)`, `tokens(length)`. Ids stay within the golden models' vocabulary of 97. */
export function chances(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  return {
    below,
    chance: (p) => next() < p,
    pick: (list) => list[below(list.length)],
    tokens: (length) => Int32Array.from({ length }, () => 3 + below(94)),
  };
}

/** What may be done with an open model. Each gets the options to pass on, which may have a signal. */
const actions = {
  embed: (model, chance, options) => model.embed(["word5 word9", "word40 word41 word42"], options),
  forward: (model, chance, options) =>
    model.forward(chance.tokens(1 + chance.below(12)), { capture: { weights: "probabilities" }, ...options }),
  edit: (model, chance, options) =>
    model.forward(chance.tokens(4), { edits: [{ layer: 0, at: "heads", head: 0, set: 0 }], ...options }),
  async generate(model, chance, options) {
    const most = 1 + chance.below(8);
    let count = 0;
    for await (const _ of model.generate(chance.tokens(3), { maxTokens: 8, stop: [], ...options }))
      if (++count === most) break; // often before its end
  },
  async prune(model, chance, options) {
    const smaller = await model.prune({ 0: [0] }, options);
    try {
      await smaller.forward(chance.tokens(5));
    } finally {
      await smaller.dispose();
    }
  },
  async convert(model, chance, options) {
    const copy = await model.convert({ dtype: chance.pick(["bf16", "int8"]), ...options });
    await copy.dispose();
  },
  save: (model, chance, options) => model.save(options),
  "a wrong shape": (model) => model.forward({ data: new Int32Array(3), shape: [2, 2] }),
  "an unknown token": (model) => model.forward(Int32Array.of(1_000_000)),
  "a layer that is not there": (model, chance, options) => model.prune({ 99: [0] }, options),
};

/** Codes that random calls may meet. Whatever else fails is a fault. */
const expected = ["aborted", "invalid-option", "invalid-shape", "unsupported", "disposed"];

/**
 * Works until `until` (as `performance.now()`). Counts what it did in `counts`, by name and by code.
 * @returns what memory the instance held when all was disposed
 */
export async function runLane({ models, seed, threads, until, counts }) {
  const chance = chances(seed);
  const count = (name) => (counts[name] = (counts[name] ?? 0) + 1);
  const attempt = async (name, call) => {
    count(name);
    await call().catch((error) => {
      if (!(error instanceof HeadwiseError) || !expected.includes(error.code)) throw error;
      count(error.code);
    });
  };

  while (performance.now() < until) {
    const hw = await load({ threads });
    let held;
    for (let round = 0; round < 25 && performance.now() < until; ++round) {
      count("open");
      const name = chance.pick(Object.keys(models));
      const options = { dtype: chance.pick(["auto", "bf16", "int8"]) };
      if (chance.chance(0.2)) await attempt("open, aborted", () => abortOpening(hw, models[name], options, chance));
      const model = await hw.openModel(models[name], options);
      const running = [];
      for (let step = 0; step < 6; ++step) {
        const stop = new AbortController();
        const options = chance.chance(0.4) ? { signal: stop.signal } : {};
        const action = chance.pick(Object.keys(actions));
        running.push(attempt(action, async () => actions[action](model, chance, options)));
        if (options.signal) (await sleep(chance.below(3)), stop.abort());
        if (chance.chance(0.5)) await running.at(-1);
      }
      if (chance.chance(0.3)) running.push(attempt("dispose early", () => model.dispose()));
      await Promise.all(running);
      await model.dispose();
      const memory = await hw.memory();
      assert.equal(memory.liveObjects, 0, `${name}: objects are left after all were disposed`);
      held ??= memory.usedBytes;
      assert.equal(memory.usedBytes, held, `${name}: bytes are left after all was disposed`);
    }
    const last = chance.chance(0.5) ? attempt("dispose the worker", () => hw.attention(...pair(chance))) : undefined;
    await hw.dispose();
    await last;
  }
}

/** Aborts an opening after a while, which may be too late. */
async function abortOpening(hw, source, options, chance) {
  const stop = new AbortController();
  const opening = hw.openModel(source, { ...options, signal: stop.signal });
  opening.catch(() => {}); // it may reject before it is awaited
  await sleep(chance.below(4));
  stop.abort();
  await (await opening).dispose();
}

/** Three tensors to attend with. */
const pair = (chance) => {
  const x = { data: new Float32Array(64 * 16), shape: [64, 16] };
  return [x, x, x, { causal: chance.chance(0.5) }];
};
