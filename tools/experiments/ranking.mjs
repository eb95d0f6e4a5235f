// Which measure of importance finds the heads that can go? Ranks heads on one part of the data, removes them in that order, and judges
// the smaller models on another part, beside many random orders. And what key/value heads in groups cost instead.
import { byLayer, fineTune, textKind, twoRelationsKind } from "./pruning.mjs";

/** The importance of each head by each method, from the batches to rank by. */
async function importances(hw, model, { methods, permutations, gates }, batches) {
  const simple = methods.map((method) => ({ method, importance: hw.headImportance(model, batches, { method }) }));
  const shapley = await hw.shapleyValues(model, batches, { permutations });
  const heads = model.config.heads.flat().length;
  const penalty = Math.max((shapley.lossWithout - shapley.loss) / heads, 0); // what a head saves, on the average
  const learned = await hw.learnGates(model, batches, { ...gates, penalty });
  return [
    ...simple,
    { method: "Shapley", importance: shapley.importance, standardErrors: shapley.standardErrors },
    { method: "learned gates", importance: learned.importance, gates: learned.gates, penalty },
  ];
}

/** The heads in the order of their importance, the least first, as `pruneByImportance` removes them, without its measurements of time. */
function orderOf(importance, { keepOnePerLayer }) {
  const heads = importance.flatMap((values, layer) => values.map((value, head) => ({ layer, head, value })));
  const left = importance.map(({ length }) => length);
  return heads
    .sort((one, other) => one.value - other.value)
    .filter(({ layer }) => !keepOnePerLayer || --left[layer] > 0)
    .map(({ layer, head }) => ({ layer, head }));
}

/** What is judged with 1, 2, … heads removed. */
function judge(model, removed, evaluate) {
  return removed.map((_, n) => {
    const smaller = model.prune(byLayer(removed.slice(0, n + 1)));
    try {
      return { removed: n + 1, ...evaluate(smaller) };
    } finally {
      smaller.dispose();
    }
  });
}

/** Loss with fewer key/value heads, at once and after fine-tuning. */
async function groupings(hw, model, { groups }, { settings, evaluate, fineTuningBatches }) {
  const found = [];
  for (const count of groups) {
    for (const method of ["mean", "procrustes"]) {
      const grouped = await model.groupHeads(count, { method });
      try {
        const at = evaluate(grouped);
        fineTune(hw, grouped, settings.fineTuning, fineTuningBatches());
        found.push({ groups: count, method, parameters: grouped.parameterCount, ...at, tuned: evaluate(grouped) });
      } finally {
        grouped.dispose();
      }
    }
  }
  return found;
}

export async function rankModel(hw, file, kind, own, tell) {
  const model = hw.loadTransformer(file);
  const control = hw.loadTransformer(file);
  try {
    const heads = model.config.heads.flat().length;
    const whole = { heads, parameters: model.parameterCount, ...kind.evaluate(model) };
    tell("whole");
    const ranked = await importances(hw, model, own, kind.importanceBatches);
    tell("ranked");
    const orders = [
      ...ranked.map((each) => ({ ...each, order: orderOf(each.importance, own) })),
      ...own.randomSeeds.map((seed) => ({
        ...{ method: "random", seed },
        order: orderOf(hw.headImportance(model, [], { method: "random", seed }), own),
      })),
    ];
    const curves = orders.map(({ order, ...rest }) => ({ ...rest, points: judge(model, order, kind.evaluate) }));
    tell("judged");
    const groups = await groupings(hw, model, own, kind);
    if (groups.length === 0) return { ...whole, curves, groups };
    fineTune(hw, control, kind.settings.fineTuning, kind.fineTuningBatches());
    return { ...whole, tuned: kind.evaluate(control), curves, groups };
  } finally {
    control.dispose();
    model.dispose();
  }
}

/**
 * @param context.hw, context.settings of all experiments, context.tell(done, total, sentence), context.readModel(name) → bytes
 */
export async function rankingExperiment({ hw, settings, tell, readModel }) {
  const { ranking, pruning } = settings;
  const kinds = {
    text: [textKind({ ...pruning.text, ...ranking.text }), ranking.text],
    "two-relations": [twoRelationsKind({ ...pruning.twoRelations, ...ranking.twoRelations }), ranking.twoRelations],
  };
  const seeds = { text: settings.text.seeds, "two-relations": settings.twoRelations.seeds };
  const total = 3 * (seeds.text.length + seeds["two-relations"].length);
  let done = 0;
  const found = {};
  for (const [name, [kind, own]] of Object.entries(kinds)) {
    found[name] = { settings: own, fineTuning: kind.settings.fineTuning, models: [] };
    for (const seed of seeds[name]) {
      const file = await readModel(`${name}-${kind.settings.heads}-${seed}`);
      const report = (what) => tell(++done, total, `${name}, model of seed ${seed}: ${what}`);
      found[name].models.push({ seed, ...(await rankModel(hw, file, kind, own, report)) });
    }
  }
  return found;
}
