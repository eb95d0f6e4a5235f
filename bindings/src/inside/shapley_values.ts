/** Shapley values of heads, from random orders of removal. */
import { integer, seed } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import { random } from "../base/random.js";
import { counter, lossOf } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { checkLanguageModel } from "./model.js";
import type { ShapleyOptions, ShapleyValues } from "./pruning_types.js";
import { checkTextBatches } from "./texts.js";

const optionTable = {
  permutations: withDefault(integer(2), 20),
  seed: withDefault(seed, 0),
} satisfies OptionTable<ShapleyOptions>;

/** Fisher–Yates, in place. */
function shuffle<T>(list: T[], next: () => number): void {
  for (let n = list.length - 1; n > 0; --n) {
    const other = Math.floor(next() * (n + 1));
    [list[n], list[other]] = [list[other]!, list[n]!];
  }
}

export function* shapleyValues(
  instance: Instance,
  modelLike: unknown,
  batchesLike: unknown,
  optionsLike?: ShapleyOptions,
): LongWork<ShapleyValues> {
  const { permutations, seed } = readOptions(optionsLike, "shapleyValues", optionTable);
  const given = checkLanguageModel(modelLike, instance, "shapleyValues");
  const batches = checkTextBatches(batchesLike, "batches", given);
  const model = given.prune({}); // a copy, since gates are set between steps
  try {
    const gates = model.config.heads.map((_, n) => model.attention(n).headGates);
    const heads = gates.flatMap((layer, n) =>
      Array.from(layer, (gate, h) => ({ layer: n, head: h, gate, sum: 0, squares: 0 })),
    );
    const setAll = (open: boolean) =>
      gates.forEach((layer, n) => model.attention(n).setHeadGates(open ? layer : layer.map(() => 0)));
    const step = counter(batches.length * (2 + permutations * Math.max(heads.length - 1, 0)));
    const loss = yield* lossOf(model, batches, step);
    setAll(false);
    const lossWithout = yield* lossOf(model, batches, step);
    const next = random(seed);
    const order = [...heads];
    for (let n = 0; n < permutations; ++n) {
      shuffle(order, next);
      setAll(true);
      let before = loss;
      for (const [place, each] of order.entries()) {
        const attention = model.attention(each.layer);
        attention.setHeadGates(attention.headGates.map((gate, h) => (h === each.head ? 0 : gate)));
        const after = place === order.length - 1 ? lossWithout : yield* lossOf(model, batches, step);
        each.sum += after - before;
        each.squares += (after - before) ** 2;
        before = after;
      }
    }
    const byLayer = (value: (each: (typeof heads)[number]) => number) =>
      gates.map((_, n) => heads.filter(({ layer }) => layer === n).map(value));
    return {
      importance: byLayer(({ sum }) => sum / permutations),
      standardErrors: byLayer(({ sum, squares }) =>
        Math.sqrt(Math.max(squares - sum ** 2 / permutations, 0) / (permutations - 1) / permutations),
      ),
      ...{ loss, lossWithout },
    };
  } finally {
    model.dispose();
  }
}
