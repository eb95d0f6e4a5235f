// The settings of the experiments: in full, and in a form of about a minute for the tests. All runs of an experiment share
// them, for every number of heads.
import { twoRelationsTraining } from "../../web/src/learning/two_relations.mjs";

const range = (n) => Array.from({ length: n }, (_, i) => i);
const headCounts = [1, 2, 4, 8];

/** Heads are removed from the models of 8, in the order of every method, `limit` being how much loss may grow. */
const methods = { heads: 8, methods: ["gradient", "leave-one-out", "norm", "confidence"], limit: 0.01 };

/** Heads are ranked on one part of the data, and removed and judged on another, beside so many random orders. */
const ranking = {
  ...{ methods: ["gradient", "gradient-entropy", "leave-one-out"], permutations: 20 },
  ...{ gates: { steps: 200, learningRate: 0.1 }, keepOnePerLayer: true },
};

export const full = {
  twoRelations: {
    ...{ headCounts, seeds: range(5), learningRates: [0.0005, 0.001, 0.002] },
    ...{ batch: twoRelationsTraining.batch, steps: twoRelationsTraining.steps, every: 100, examples: 512 },
    ...{ letterSets: 16, timingRounds: 200 },
    longer: 4, // factor of the steps of the longer run with one head, which shows whether it only takes longer
  },
  text: {
    ...{ headCounts, seeds: range(3), learningRates: [0.00075, 0.0015, 0.003] },
    model: { contextLength: 128, layers: 2, embedDim: 128, norm: "layer", activation: "gelu", positions: "rotary" },
    optimizer: { betas: [0.9, 0.98], weightDecay: 0.05, clipNorm: 1 },
    ...{ batch: 8, steps: 800, every: 50, timingRounds: 20 },
    validation: { length: 128, count: 128, batch: 16 }, // at every point of the curve
    finalValidation: { length: 128, count: 512, batch: 16 },
  },
  pruning: {
    text: {
      ...methods,
      ...{ randomSeeds: range(20), stride: 1, tuneEvery: 2, timings: 9, keepOnePerLayer: true },
      importance: { length: 128, count: 64, batch: 16 }, // stretches of the text to train on
      validation: { length: 128, count: 128, batch: 16 },
      timing: { length: 128, count: 8, batch: 8 }, // the forward pass whose milliseconds are given
      fineTuning: {
        steps: 80,
        batch: 8,
        optimizer: { lr: 0.0003, betas: [0.9, 0.98], weightDecay: 0.05, clipNorm: 1 },
      },
    },
    twoRelations: {
      ...methods,
      ...{ randomSeeds: range(20), stride: 1, tuneEvery: 1, timings: 25, keepOnePerLayer: true },
      ...{ importance: 512, validation: 512, timing: 256 }, // examples
      fineTuning: {
        steps: 200,
        batch: 64,
        optimizer: { lr: 0.001, betas: [0.9, 0.98], weightDecay: 0.01, clipNorm: 1 },
      },
    },
  },
  ranking: {
    text: {
      ...{ ...ranking, randomSeeds: range(20), groups: [4, 2, 1] },
      importance: { length: 128, count: 32, batch: 4 }, // stretches of the text to train on
      validation: { length: 128, count: 64, batch: 16 },
    },
    twoRelations: { ...ranking, randomSeeds: range(24), importance: 256, groups: [] },
  },
};

export const quick = {
  twoRelations: {
    ...{ headCounts, seeds: range(2), learningRates: [0.001, 0.002] },
    ...{ batch: 16, steps: 40, every: 20, examples: 64, longer: 2 },
    ...{ letterSets: 2, timingRounds: 3 },
  },
  text: {
    ...full.text,
    ...{ seeds: range(2), learningRates: [0.0015, 0.003] },
    model: { ...full.text.model, contextLength: 32, layers: 2, embedDim: 32 },
    ...{ batch: 4, steps: 20, every: 10, timingRounds: 3 },
    validation: { length: 32, count: 8, batch: 8 },
    finalValidation: { length: 32, count: 16, batch: 8 },
  },
  pruning: {
    text: {
      ...full.pruning.text,
      ...{ randomSeeds: range(2), stride: 2, tuneEvery: 4, timings: 2 },
      importance: { length: 32, count: 8, batch: 8 },
      validation: { length: 32, count: 8, batch: 8 },
      timing: { length: 32, count: 4, batch: 4 },
      fineTuning: { ...full.pruning.text.fineTuning, steps: 5, batch: 4 },
    },
    twoRelations: {
      ...full.pruning.twoRelations,
      ...{ randomSeeds: range(2), stride: 3, tuneEvery: 3, timings: 2, importance: 64, validation: 64, timing: 32 },
      fineTuning: { ...full.pruning.twoRelations.fineTuning, steps: 5, batch: 16 },
    },
  },
  ranking: {
    text: {
      ...{ ...full.ranking.text, permutations: 2, gates: { steps: 3, learningRate: 0.1 }, randomSeeds: range(3) },
      ...{
        importance: { length: 32, count: 4, batch: 2 },
        validation: { length: 32, count: 8, batch: 8 },
        groups: [4, 1],
      },
    },
    twoRelations: {
      ...{ ...full.ranking.twoRelations, permutations: 2, gates: { steps: 3, learningRate: 0.1 } },
      ...{ randomSeeds: range(3), importance: 64 },
    },
  },
};
