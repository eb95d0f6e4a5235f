/** Removes the least important heads of a transformer, step by step. */
import { Optimizer } from "../module/adamw.js";
import { lossOf } from "./batches.js";
import { invalidOption } from "../base/checks.js";
import { isThenable } from "../base/kinds.js";
import { importanceOf } from "./importance.js";
import type { Instance } from "../runtime/instance.js";
import { part, type LongWork } from "../base/long_work.js";
import { costOf } from "./model_cost.js";
import { checkPlan, type FineTuning, type Plan } from "./pruning_plan.js";
import type { HeadImportance, ImportanceSource, PruneOptions, PruneResult, RemovedHead } from "./types.js";
import { checkTransformer, type Model } from "../transformer/transformer.js";
import type { AnyTransformer } from "../transformer/types.js";

/** A remaining head, by its indices in the given model. */
interface Head extends RemovedHead {
  readonly importance: number;
}

/** The least important heads. Equally important ones are in the model's order. */
function leastImportant(heads: readonly Head[], count: number, keepOnePerLayer: boolean): Head[] {
  const left = new Map<number, number>();
  for (const { layer } of heads) left.set(layer, (left.get(layer) ?? 0) + 1);
  const chosen: Head[] = [];
  for (const head of [...heads].sort((a, b) => a.importance - b.importance)) {
    const others = left.get(head.layer)! - 1;
    if (chosen.length === count || (keepOnePerLayer && others === 0)) continue;
    left.set(head.layer, others);
    chosen.push(head);
  }
  return chosen;
}

/** The argument of `Transformer.prune` that removes `chosen` from a model with `heads`. */
function byLayer(chosen: readonly Head[], heads: readonly Head[]): Record<number, number[]> {
  const removed: Record<number, number[]> = {};
  for (const head of chosen) {
    const layer = heads.filter((other) => other.layer === head.layer);
    (removed[head.layer] ??= []).push(layer.indexOf(head));
  }
  return removed;
}

/** Trains after a pruning step. */
function* train(instance: Instance, model: AnyTransformer, fineTune: Plan["fineTune"]): LongWork<void> {
  if (fineTune === undefined) return;
  if (typeof fineTune === "function") {
    const result = fineTune(model);
    if (isThenable(result)) throw invalidOption("fineTune", "a function that does not return a promise", result);
    return;
  }
  const { optimizer: options, steps, batches } = fineTune;
  const optimizer = new Optimizer(instance, options);
  try {
    for (let n = 0; n < steps; ++n) {
      const { tokens, targets } = batches[n % batches.length]!;
      model.trainStep(tokens, targets, optimizer);
      yield { done: n + 1, total: steps };
    }
  } finally {
    optimizer.dispose();
  }
}

export function* pruneByImportance(
  instance: Instance,
  modelLike: AnyTransformer,
  importance: HeadImportance | ImportanceSource,
  options: PruneOptions<FineTuning>,
): LongWork<PruneResult<AnyTransformer>> {
  const given = checkTransformer(modelLike, instance);
  const plan = checkPlan(given, importance, options);
  const { batches, increase, most } = plan;
  const total = most + 2; // progress: one for what is measured first, one a head, one for what is measured last
  const loss = function* (model: AnyTransformer, from: number, to: number): LongWork<{ loss?: number }> {
    if (batches.length === 0 || !given.config.head) return {};
    return { loss: yield* part(lossOf(model, batches), from, to, total) };
  };
  const estimate = (model: Model, from: number, to: number) =>
    part(importanceOf(instance, model, plan.measured, plan.method!), from, to, total);

  const made = new Set<Model>(); // and not yet returned
  const free = (model: Model) => {
    made.delete(model);
    model.dispose();
  };
  const pruned = (model: Model, heads: Record<number, number[]>) => {
    const smaller = model.prune(heads);
    made.add(smaller);
    return smaller;
  };
  try {
    const lossBefore = yield* loss(given, 0, 0.5);
    const first = plan.values ?? (yield* estimate(given, 0.5, 1));
    let heads: Head[] = first.flatMap((layer, n) => layer.map((importance, h) => ({ layer: n, head: h, importance })));
    let model = pruned(given, {});
    let lossAfter = lossBefore;
    const steps: { removed: RemovedHead[]; loss?: number }[] = [];
    for (let gone = 0; gone < most;) {
      const chosen = leastImportant(heads, Math.min(plan.stepSize, most - gone), plan.keepOnePerLayer);
      const start = 1 + gone;
      const at = (place: number) => start + chosen.length * place;
      const smaller = pruned(model, byLayer(chosen, heads));
      yield* part(train(instance, smaller, plan.fineTune), at(0), at(0.4), total);
      const lossNow = yield* loss(smaller, at(0.4), at(0.6));
      if (increase !== undefined && !(lossNow.loss! <= lossBefore.loss! * (1 + increase))) {
        free(smaller);
        break;
      }
      free(model);
      [model, lossAfter] = [smaller, lossNow];
      heads = heads.filter((head) => !chosen.includes(head));
      steps.push({ removed: chosen.map(({ layer, head }) => ({ layer, head })), ...lossNow });
      gone += chosen.length;
      if (plan.reestimates && gone < most) {
        const anew = (yield* estimate(model, at(0.6), at(1))).flat();
        heads = heads.map((head, n) => ({ ...head, importance: anew[n]! }));
      }
      yield { done: at(1), total };
    }
    const [before, after] = yield* part(costOf(instance, [given, model], batches), total - 1, total, total);
    made.delete(model);
    return {
      model,
      removed: steps.flatMap(({ removed }) => removed),
      before: { ...lossBefore, ...before! },
      after: { ...lossAfter, ...after! },
      steps,
    };
  } finally {
    for (const model of made) model.dispose();
  }
}
