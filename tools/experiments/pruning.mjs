// How many heads can be removed: removes heads from trained models in the order of each importance method and at random,
// and measures loss, accuracy and the time of a forward pass, before and after fine-tuning.
import { evenBatches } from "../../web/src/learning/characters.mjs";
import { randomNumbers } from "../../web/src/learning/random.mjs";
import { twoRelations } from "../../web/src/learning/two_relations.mjs";
import { mobyDick } from "./moby_dick.mjs";
import { randomStretches, schedule } from "./real_text.mjs";
import { evaluateAll, inTurns, train } from "./train.mjs";

/** [{ layer, head }] → { layer: [head, …] }, as `prune` takes it. */
export function byLayer(heads) {
  const found = {};
  for (const { layer, head } of heads) (found[layer] ??= []).push(head);
  return found;
}

/** The heads in the order in which a method removes them. */
function orders(hw, model, { methods, randomSeeds, keepOnePerLayer }, batches) {
  const heads = model.config.heads.flat().length;
  const count = heads - (keepOnePerLayer ? model.config.layers : 0);
  const remove = (importance, options) => {
    const { model: smaller, removed } = hw.pruneByImportance(model, importance, { count, keepOnePerLayer, ...options });
    smaller.dispose();
    return removed;
  };
  const order = (method, seed) =>
    remove(hw.headImportance(model, batches, { method, ...(seed !== undefined && { seed }) }));
  return [
    ...methods.map((method) => ({ method, removed: order(method) })),
    { method: "gradient, re-estimated", removed: remove({ method: "gradient", batches }, { reestimate: 1 }) },
    ...randomSeeds.map((seed) => ({ method: "random", seed, removed: order("random", seed) })),
  ];
}

/** The shortest forward pass of several models, in milliseconds: they run in turns, and what others do only makes a pass longer. */
const forwardTimes = (models, { tokens }, rounds) =>
  inTurns(
    models.map((model) => () => model.forward(tokens)),
    rounds,
  ).map((milliseconds) => Math.min(...milliseconds));

/** Trains a model further, in place. */
export function fineTune(hw, model, { steps, optimizer: options }, batchAt) {
  const optimizer = hw.adamW(schedule(options, steps));
  try {
    train({ model, optimizer, steps, every: steps, batchAt, evaluate: () => ({}) });
  } finally {
    optimizer.dispose();
  }
}

/**
 * One order of removal: a point for each number of heads removed. `whole`: whether the order is also timed, in turns with the whole
 * model, and fine-tuned, or only measured.
 */
function curve(hw, model, order, { settings, evaluate, timing, fineTuningBatches, whole }) {
  const heads = model.config.heads.flat().length;
  const { stride, tuneEvery, timings, fineTuning } = settings;
  const counts = Array.from({ length: Math.floor(order.removed.length / stride) }, (_, n) => (n + 1) * stride);
  const models = [];
  try {
    for (const count of counts) models.push(model.prune(byLayer(order.removed.slice(0, count))));
    const times = whole ? forwardTimes([model, ...models], timing, timings) : undefined;
    const points = models.map((smaller, n) => {
      const { loss, accuracy } = evaluate(smaller);
      const point = {
        ...{ removed: counts[n], fraction: counts[n] / heads, parameters: smaller.parameterCount, loss, accuracy },
        ...(times && { times: { milliseconds: times[n + 1], share: times[n + 1] / times[0] } }),
      };
      if (!whole || counts[n] % tuneEvery !== 0) return point;
      fineTune(hw, smaller, fineTuning, fineTuningBatches());
      return { ...point, tuned: evaluate(smaller) };
    });
    const named = { method: order.method, ...(order.seed !== undefined && { seed: order.seed }) };
    return { ...named, points, ...(times && { times: { milliseconds: times[0] } }) };
  } finally {
    for (const smaller of models) smaller.dispose();
  }
}

/** All curves of one trained model, and the effect of fine-tuning on the unpruned model. */
function pruneModel(hw, file, kind, tell) {
  const { settings, importanceBatches, evaluate, timing, fineTuningBatches } = kind;
  const model = hw.loadTransformer(file);
  const control = hw.loadTransformer(file);
  try {
    const heads = model.config.heads.flat().length;
    const whole = { heads, parameters: model.parameterCount, bytes: file.length, ...evaluate(model) };
    fineTune(hw, control, settings.fineTuning, fineTuningBatches());
    const all = orders(hw, model, settings, importanceBatches);
    const firstRandom = all.findIndex(({ method }) => method === "random");
    const curves = all.map((order, n) => {
      const whole = order.method !== "random" || n === firstRandom;
      const found = curve(hw, model, order, { settings, evaluate, timing, fineTuningBatches, whole });
      tell(order);
      return found;
    });
    return { ...whole, tuned: evaluate(control), curves };
  } finally {
    control.dispose();
    model.dispose();
  }
}

export function textKind(settings) {
  const book = mobyDick();
  const { length } = settings.validation;
  const validation = evenBatches(book.validation, settings.validation);
  return {
    settings,
    importanceBatches: evenBatches(book.train, settings.importance),
    evaluate: (model) => evaluateAll(model, validation),
    timing: evenBatches(book.validation, settings.timing)[0],
    fineTuningBatches: () => randomStretches(book.train, { seed: 500, batch: settings.fineTuning.batch, length }),
  };
}

export function twoRelationsKind(settings) {
  const task = twoRelations();
  const test = task.testBatch(settings.validation);
  return {
    settings,
    importanceBatches: [task.batch(randomNumbers(3000), settings.importance)],
    evaluate: (model) => evaluateAll(model, [test]),
    timing: task.testBatch(settings.timing),
    fineTuningBatches() {
      const below = randomNumbers(1500);
      return () => task.batch(below, settings.fineTuning.batch);
    },
  };
}

/**
 * @param context.hw, context.settings, context.tell(done, total, sentence), context.readModel(name) → bytes
 */
export async function pruningExperiment({ hw, settings, seeds, tell, readModel }) {
  const kinds = {
    text: textKind(settings.text),
    "two-relations": twoRelationsKind(settings.twoRelations),
  };
  const perModel = ({ settings: own }) => own.methods.length + 1 + own.randomSeeds.length;
  const total = Object.entries(kinds).reduce((all, [name, kind]) => all + seeds[name].length * perModel(kind), 0);
  let done = 0;
  const found = {};
  for (const [name, kind] of Object.entries(kinds)) {
    found[name] = { settings: kind.settings, models: [] };
    for (const seed of seeds[name]) {
      const file = await readModel(`${name}-${kind.settings.heads}-${seed}`);
      const report = ({ method }) => tell(++done, total, `${name}, model of seed ${seed}: heads removed by ${method}`);
      found[name].models.push({ seed, ...pruneModel(hw, file, kind, report) });
    }
  }
  return found;
}
