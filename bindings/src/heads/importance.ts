/** The importance of each head of a transformer. docs/heads.md has the definitions. */
import { analyzeHeads } from "../attention/analyze_heads.js";
import { checkBatches, counter, lossOf, notMeasurable, sequencesOf, type CheckedBatch } from "./batches.js";
import { invalidOption, oneOf, seed } from "../base/checks.js";
import { optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import type { Instance } from "../runtime/instance.js";
import type { LongWork } from "../base/long_work.js";
import type { HeadImportance, HeadImportanceOptions, ImportanceMethod } from "./types.js";
import { random } from "../base/random.js";
import { checkTransformer, type Model } from "../transformer/transformer.js";
import type { Batch, AnyTransformer } from "../transformer/types.js";
import type { MultiHeadAttention } from "../module/types.js";
import type { Tensor } from "../base/types.js";

/** What a method measures with. None drops anything out. */
interface Subject {
  readonly instance: Instance;
  readonly model: Model;
  readonly layers: readonly MultiHeadAttention[];
  readonly batches: readonly CheckedBatch[];
  readonly seed: number;
}

type Measure = (subject: Subject) => LongWork<number[][]>;

/** One number for each head. */
const eachHead = (layers: readonly MultiHeadAttention[], value: (layer: number, head: number) => number) =>
  layers.map(({ numHeads }, n) => Array.from({ length: numHeads }, (_, h) => value(n, h)));

/** The weighted mean over sequences of the numbers that `measure` returns for the heads of each layer. */
function meanOverSequences(
  hasTargets: boolean,
  measure: (
    subject: Subject,
    tokens: Int32Array,
    targets: Int32Array,
  ) => { heads: ArrayLike<number>[]; weight: number },
): Measure {
  return function* (subject) {
    const sums = eachHead(subject.layers, () => 0);
    let weights = 0;
    const all = sequencesOf(subject.batches);
    const sequences = hasTargets ? all.filter(({ targets }) => targets.some((target) => target >= 0)) : all;
    const step = counter(sequences.length);
    for (const { tokens, targets } of sequences) {
      const { heads, weight } = measure(subject, tokens, targets);
      for (const [n, sum] of sums.entries()) sum.forEach((_, h) => (sum[h]! += weight * heads[n]![h]!));
      weights += weight;
      yield step();
    }
    return sums.map((sum) => sum.map((value) => (weights === 0 ? 0 : value / weights)));
  };
}

/** The L2 norm of each head's contribution [H, L, E], summed over the tokens. */
function sumsOfNorms({ data, shape }: Tensor): number[] {
  const [heads, tokens, width] = shape as [number, number, number];
  return Array.from({ length: heads }, (_, h) => {
    let sum = 0;
    for (let row = h * tokens; row < (h + 1) * tokens; ++row) {
      let squares = 0;
      for (let n = row * width; n < (row + 1) * width; ++n) squares += data[n]! ** 2;
      sum += Math.sqrt(squares);
    }
    return sum;
  });
}

/** A statistic of the attention weights of each head, layer by layer. */
function attentionStatistic(
  { instance, model }: Subject,
  tokens: Int32Array,
  name: "confidence" | "entropy",
): number[][] {
  const { layers } = model.forward(tokens, { capture: { weights: "probabilities" } });
  const { causal, layerOptions } = model.config;
  return layers.map(({ weights }, n) => {
    if (weights!.data.some(Number.isNaN)) throw notMeasurable(`attention weights in layer ${n} are NaN`);
    if (weights!.data.length === 0) return [];
    return analyzeHeads(instance, weights!, { causal, window: layerOptions[n]!.window }).map((head) => head[name]);
  });
}

const gateGradients = ({ model }: Subject, tokens: Int32Array, targets: Int32Array) =>
  model.measureGateGradients(tokens, targets).map((gradients) => gradients.map(Math.abs));

const measures: Record<ImportanceMethod, Measure> = {
  gradient: meanOverSequences(true, (...args) => ({ heads: gateGradients(...args), weight: 1 })),
  "gradient-entropy": meanOverSequences(true, (subject, tokens, targets) => {
    const entropies = attentionStatistic(subject, tokens, "entropy");
    const gradients = gateGradients(subject, tokens, targets);
    return { heads: gradients.map((layer, n) => layer.map((value, h) => value * entropies[n]![h]!)), weight: 1 };
  }),
  confidence: meanOverSequences(false, (subject, tokens) => ({
    heads: attentionStatistic(subject, tokens, "confidence"),
    weight: tokens.length,
  })),
  norm: meanOverSequences(false, ({ model }, tokens) => {
    const { layers } = model.forward(tokens, { capture: { heads: "contributions" } });
    const heads = layers.map(({ heads }) => sumsOfNorms(heads!).map((sum) => sum / tokens.length));
    return { heads, weight: tokens.length };
  }),
  *"leave-one-out"({ model, layers, batches }) {
    const heads = layers.reduce((count, { numHeads }) => count + numHeads, 0);
    const step = counter((1 + heads) * batches.length);
    const whole = yield* lossOf(model, batches, step);
    const increases = eachHead(layers, () => 0);
    for (const [n, layer] of layers.entries()) {
      const gates = layer.headGates;
      for (let h = 0; h < layer.numHeads; ++h) {
        layer.setHeadGates(gates.map((gate, head) => (head === h ? 0 : gate)));
        increases[n]![h] = (yield* lossOf(model, batches, step)) - whole;
      }
      layer.setHeadGates(gates);
    }
    return increases;
  },
  *random({ layers, seed }) {
    const next = random(seed);
    return eachHead(layers, next);
  },
};

/** Divides each layer's numbers by their L2 norm; zeros stay. */
function normalizeLayer(values: readonly number[]): number[] {
  const norm = Math.hypot(...values);
  return values.map((value) => (norm === 0 ? 0 : value / norm));
}

export const importanceTable = {
  method: oneOf(Object.keys(measures) as ImportanceMethod[]),
  normalize: optional(oneOf(["layer", "none"])),
  seed: withDefault(seed, 0),
} satisfies OptionTable<HeadImportanceOptions>;

export function* headImportance(
  instance: Instance,
  modelLike: AnyTransformer,
  batchesLike: readonly Batch[],
  optionsLike: HeadImportanceOptions,
): LongWork<HeadImportance> {
  const { method, normalize, seed } = readOptions(optionsLike, "headImportance", importanceTable);
  const given = checkTransformer(modelLike, instance);
  const batches = checkBatches(batchesLike, "batches", given);
  if (batches.length === 0 && method !== "random") throw invalidOption("batches", "at least one batch", batches);
  return yield* importanceOf(instance, given, batches, { method, normalize, seed });
}

/** The same with checked arguments. */
export function* importanceOf(
  instance: Instance,
  given: Model,
  batches: readonly CheckedBatch[],
  { method, normalize, seed }: Checked<typeof importanceTable>,
): LongWork<HeadImportance> {
  const model = method === "leave-one-out" ? given.prune({}) : given; // a copy, since it sets gates between its steps
  try {
    const layers = Array.from({ length: model.config.layers }, (_, n) => model.attention(n));
    const measured = yield* measures[method]({ instance, model, layers, batches, seed });
    const values = normalize === "layer" ? measured.map(normalizeLayer) : measured;
    const unknown = values.findIndex((layer) => layer.some(Number.isNaN));
    if (unknown >= 0) throw notMeasurable(`the importance of heads in layer ${unknown} is NaN`);
    return values;
  } finally {
    if (model !== given) model.dispose();
  }
}
