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
//
// A case is the values of all keys with a question, whatever the order of the pairs: m^K K (K − 1) of them, 49,152 for 4 keys
// and 8 values. 512 cases are held out: training never shows them, tests show nothing else.

import { randomNumbers } from "./random.mjs";

/** How many cases are held out. */
const HELD_OUT = 512;

/** Of the order of random numbers that the held-out cases come from. */
const TEST_SEED = 0x7e57;

/**
 * @typedef {{ value: number[], order: number[], first: number, second: number }} Example the value of each key, the keys in the
 * order of their pairs, and the two keys in question
 */

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
   * The answer that a model gives: the likeliest of all tokens; null where that is no answer.
   * @param {Float32Array} logits of the question, [V]
   */
  function answerIn(logits) {
    let best = 0;
    for (let token = 1; token < logits.length; ++token) if (logits[token] > logits[best]) best = token;
    return describe(best).answer ?? null;
  }

  /** An example at random, held out or not. @param {(n: number) => number} below of randomNumbers @returns {Example} */
  function draw(below) {
    const order = Array.from({ length: keys }, (_, key) => key);
    const value = order.map(() => below(values));
    for (let i = 0; i < keys; ++i) {
      const j = i + below(keys - i);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const first = below(keys);
    const rest = below(keys - 1);
    return { value, order, first, second: rest < first ? rest : rest + 1 };
  }

  /** @param {Example} example */
  const caseOf = ({ value, first, second }) => [...value, first, second].join();

  /** Tokens and targets of examples, both [size, L]. @param {readonly Example[]} examples */
  function encode(examples) {
    const shape = [examples.length, length];
    const tokens = new Int32Array(examples.length * length);
    const targets = new Int32Array(examples.length * length).fill(-1);
    examples.forEach(({ value, order, first, second }, row) => {
      order.forEach((key, place) => (tokens[row * length + place] = key * values + value[key]));
      tokens[row * length + keys] = questions + first * (keys - 1) + (second < first ? second : second - 1);
      targets[row * length + keys] = answers + ((value[first] - value[second] + values) % values);
    });
    return { tokens: { data: tokens, shape }, targets: { data: targets, shape } };
  }

  /** The held-out examples, by their cases: each case once. @type {Map<string, Example>} */
  const heldOut = new Map();
  for (const below = randomNumbers(TEST_SEED); heldOut.size < HELD_OUT;) {
    const example = draw(below);
    if (!heldOut.has(caseOf(example))) heldOut.set(caseOf(example), example);
  }
  const test = [...heldOut.values()];

  /** @param {(n: number) => number} below */
  function drawToTrain(below) {
    for (;;) {
      const example = draw(below);
      if (!heldOut.has(caseOf(example))) return example;
    }
  }

  return {
    ...{
      keys,
      values,
      length,
      vocabSize: answers + values,
      chance: 1 / values,
      describe,
      answerIn,
      draw,
      encode,
      caseOf,
    },
    cases: values ** keys * keys * (keys - 1),
    heldOut: HELD_OUT,
    /** Examples to train on, at random. @param {(n: number) => number} below of randomNumbers @param {number} size */
    batch: (below, size) => encode(Array.from({ length: size }, () => drawToTrain(below))),
    /** The first held-out examples. @param {number} [size] at most `heldOut` */
    testExamples: (size = HELD_OUT) => test.slice(0, size),
    /** The same as tokens and targets. @param {number} [size] */
    testBatch: (size = HELD_OUT) => encode(test.slice(0, size)),
    /**
     * Where in a sequence the first and the second of the keys that are asked for stand.
     * @param {ArrayLike<number>} tokens of one sequence, [L]
     */
    places(tokens) {
      const { first, second } = describe(tokens[keys]);
      const of = (/** @type {number | undefined} */ key) =>
        Array.prototype.findIndex.call(tokens, (token) => describe(token).key === key);
      return [of(first), of(second)];
    },
  };
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
