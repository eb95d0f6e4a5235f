// Two relations at once: a task in which each answer needs two places of the sequence, in order. The page trains it live,
// `npm run experiments` measures it: one module, one task. Nothing here needs Node or a browser.
//
// There are K keys and m values. A sequence is K pairs and a question:
//
//   (k, v) (k, v) … (k, v)  (a, b)?     each key once, in random order; each value drawn evenly from 0 … m − 1;
//                                       a and b are two different keys
//
// The answer is (v_a − v_b) mod m, v_a being the value beside key a. A pair is one token, and so is a question, so that
// one layer of attention can find what is asked for in one step: at the question, attend to the pair of key a and the pair
// of key b. The order of the pairs says nothing, so there are no positions. One head has one set of weights, and returns one
// mixture of the two values: it must tell which is which by their weights, or by where each pair lies in its value space.
// Two heads can bring them apart. The feed-forward layer then has to subtract.
//
// Tokens:  pair (k, v): k m + v          0 … K m − 1
//          question (a, b)               K (K − 1) of them: K m + a (K − 1) + (b < a ? b : b − 1)
//          answer r                      m of them, never an input
// The target is −1 (ignored) everywhere but at the question. Guessing scores 1 / m, also for who knows one of the values.

import { randomNumbers } from "./random.mjs";

/**
 * @param {{ keys?: number, values?: number }} [sizes] K and m
 */
export function twoRelations({ keys = 4, values = 8 } = {}) {
  const questions = keys * values;
  const answers = questions + keys * (keys - 1);
  const length = keys + 1; // of a sequence: L

  /** What a token stands for. @param {number} token */
  function describe(token) {
    if (token < questions) return { key: Math.floor(token / values), value: token % values };
    if (token >= answers) return { answer: token - answers };
    const first = Math.floor((token - questions) / (keys - 1));
    const rest = (token - questions) % (keys - 1);
    return { first, second: rest < first ? rest : rest + 1 };
  }

  /**
   * Examples at random: tokens and targets, both [size, L].
   * @param {(n: number) => number} below of randomNumbers
   * @param {number} size
   */
  function batch(below, size) {
    const tokens = new Int32Array(size * length);
    const targets = new Int32Array(size * length).fill(-1);
    const order = Array.from({ length: keys }, (_, key) => key);
    for (let row = 0; row < size; ++row) {
      const value = order.map(() => below(values)); // of each key
      for (let i = 0; i < keys; ++i) {
        const j = i + below(keys - i);
        [order[i], order[j]] = [order[j], order[i]];
        tokens[row * length + i] = order[i] * values + value[order[i]];
      }
      const a = below(keys);
      const rest = below(keys - 1);
      const b = rest < a ? rest : rest + 1;
      tokens[row * length + keys] = questions + a * (keys - 1) + rest;
      targets[row * length + keys] = answers + ((value[a] - value[b] + values) % values);
    }
    const shape = [size, length];
    return { tokens: { data: tokens, shape }, targets: { data: targets, shape } };
  }

  /**
   * Where in a sequence the first and the second of the keys that are asked for stand.
   * @param {ArrayLike<number>} tokens of one sequence, [L]
   */
  function places(tokens) {
    const { first, second } = describe(tokens[keys]);
    const of = (/** @type {number | undefined} */ key) =>
      Array.prototype.findIndex.call(tokens, (token) => describe(token).key === key);
    return [of(first), of(second)];
  }

  return { keys, values, length, vocabSize: answers + values, chance: 1 / values, describe, batch, places };
}

/**
 * The model: one layer, as wide for one head as for many (H heads of width E / H), so that all have as many parameters.
 * @param {{ vocabSize: number, length: number }} task
 * @param {{ numHeads: number, seed?: number }} options
 */
export function twoRelationsModel({ vocabSize, length }, { numHeads, seed = 0 }) {
  return {
    ...{ vocabSize, contextLength: length, layers: 1, embedDim: 32, numHeads, feedForwardDim: 256, seed },
    ...{ positions: /** @type {const} */ ("none"), causal: false, tieEmbeddings: false },
  };
}

/** How it is trained: examples a step, steps, learning rate, and AdamW's options. */
export const twoRelationsTraining = {
  batch: 64,
  steps: 2000,
  /** The best of 0.0005, 0.001 and 0.002 for so many heads (docs/experiments). @param {number} heads */
  learningRate: (heads) => (heads <= 2 ? 0.001 : 0.002),
  /** @param {number} lr @param {number} [steps] */
  optimizer: (lr, steps = 2000) => ({
    ...{ lr, betas: /** @type {[number, number]} */ ([0.9, 0.98]), weightDecay: 0.01, clipNorm: 1 },
    ...{ warmupSteps: Math.round(steps / 20), totalSteps: steps },
  }),
};

/** Examples to test on: never those of a training run, whose seeds are small numbers. @param {ReturnType<typeof twoRelations>} task @param {number} size */
export const testBatch = (task, size) => task.batch(randomNumbers(0x7e57), size);
