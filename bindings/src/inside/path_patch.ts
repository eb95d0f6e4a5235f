/** Path patching: what a head gives to other heads, or to the logits, with all heads between them as they were. */
import { checkBoolean, checkInteger, integer, invalidOption, oneOf, readList } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor, Tokens } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import type { Model } from "../transformer/transformer.js";
import type { CapturedLayer, Edit } from "../transformer/types.js";
import { attentionConfig } from "../transformer/config.js";
import { checkMetric } from "./metric.js";
import { checkLanguageModel, headColumns, tokenPair, unknownTensor } from "./model.js";
import type { PatchMap, PathPatchOptions, Receiver } from "./types.js";

const receiverTable = {
  layer: integer(0),
  head: integer(0),
  at: oneOf(["query", "key", "value"]),
} satisfies OptionTable<Receiver>;

const optionTable = {
  to: (value) => value,
  metric: (value) => value,
  freezeFeedForward: withDefault(checkBoolean, false),
} satisfies OptionTable<PathPatchOptions>;

const placeOf = { query: "queries", key: "keys", value: "values" } as const;

/** Undefined: the logits. */
function checkReceivers(value: unknown, { config }: Model): Receiver[] | undefined {
  if (value === "logits") return undefined;
  const list = readList(value, "to", '"logits" or an array of { layer, head, at }');
  if (list.length === 0) throw invalidOption("to", "at least one head", list);
  return list.map((each, n) => {
    const name = `to[${n}]`;
    const { layer, head, at } = readOptions(each, name, receiverTable, `${name}.`);
    checkInteger(layer, `${name}.layer`, 0, config.layers - 1);
    const { numHeads, numKvHeads } = attentionConfig(config, layer);
    checkInteger(head, `${name}.head`, 0, (at === "query" ? numHeads : numKvHeads) - 1);
    return { layer, head, at };
  });
}

export function* pathPatch(
  instance: Instance,
  modelLike: unknown,
  cleanLike: Tokens,
  corruptedLike: Tokens,
  optionsLike: PathPatchOptions,
): LongWork<PatchMap> {
  const { to, metric, freezeFeedForward } = readOptions(optionsLike, "pathPatch", optionTable);
  const model = checkLanguageModel(modelLike, instance, "pathPatch");
  const [clean, corrupted] = tokenPair(model, cleanLike, corruptedLike);
  const measure = checkMetric(metric, "metric", model, clean);
  const receivers = checkReceivers(to, model);
  const { count, of } = headColumns(model.config);
  const map = unknownTensor(of.length, count);
  const step = counter(of.flat().length);
  const capture = { heads: "values", feedForward: freezeFeedForward } as const;
  const [restored, present] = [clean, corrupted].map(
    (tokens) => model.forward(tokens, { capture, logits: "none" }).layers,
  ) as [readonly CapturedLayer[], readonly CapturedLayer[]];
  const ends = { clean: measure(clean), corrupted: measure(corrupted) };
  /** One head as in the clean run, all others (and perhaps the feed-forwards) as in the corrupted one. */
  const sending = (layer: number, head: number): Edit[] => [
    ...present
      .slice(layer)
      .flatMap(({ heads, feedForward }, n): Edit[] => [
        { layer: layer + n, at: "heads", set: heads! },
        ...(feedForward ? [{ layer: layer + n, at: "feedForward" as const, set: feedForward }] : []),
      ]),
    { layer, at: "heads", head, set: restored[layer]!.heads! },
  ];
  const inputs = { queries: true, keys: true, values: true };
  for (const [layer, columns] of of.entries()) {
    const later = receivers?.filter((receiver) => receiver.layer > layer);
    for (const [head, column] of columns.entries()) {
      let value = ends.corrupted; // where there is no path
      if (later === undefined) value = measure(corrupted, sending(layer, head));
      else if (later.length > 0) {
        const layers = [...new Set(later.map((receiver) => receiver.layer))];
        const edits = sending(layer, head);
        const received = model.forward(corrupted, { capture: { ...inputs, layers }, edits, logits: "none" }).layers;
        value = measure(
          corrupted,
          later.map(({ at, ...which }) => ({ ...which, at, set: received[which.layer]![placeOf[at]] as Tensor })),
        );
      }
      map.data[layer * count + column] = value;
      yield step();
    }
  }
  return { ...map, ...ends };
}
