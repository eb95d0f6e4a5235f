/** The ablation of every head, one at a time. */
import { checkBoolean, oneOf, seed } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import { random } from "../base/random.js";
import type { Progress, Tensor } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import type { Model } from "../transformer/transformer.js";
import type { Edit } from "../transformer/types.js";
import { checkMetric } from "./metric.js";
import { checkLanguageModel, headColumns, unknownTensor } from "./model.js";
import { checkTexts, lossOfText, type Text } from "./texts.js";
import type { AblateHeadsOptions, HeadAblation } from "./types.js";
import { layerMatrices } from "./weights.js";

const optionTable = {
  with: oneOf(["zero", "mean", "resample"]),
  metric: (value) => value,
  meanOver: withDefault(oneOf(["tokens", "batch"]), "tokens"),
  foldValueBiases: withDefault(checkBoolean, false),
  seed: withDefault(seed, 0),
} satisfies OptionTable<AblateHeadsOptions>;

/** What replaces the output of a head in a text. */
type Replacement = (text: number, layer: number, head: number) => number | Tensor;

interface Subject {
  readonly model: Model;
  readonly texts: readonly Text[];
  readonly step: () => Progress;
}

/** The outputs of the heads of each text and layer, [B, H, L, D]. */
function* outputsOf({ model, texts, step }: Subject): LongWork<Tensor[][]> {
  const outputs: Tensor[][] = [];
  for (const { tokens } of texts) {
    outputs.push(
      model.forward(tokens, { capture: { heads: "values" }, logits: "none" }).layers.map(({ heads }) => heads!),
    );
    yield step();
  }
  return outputs;
}

function zeros({ model }: Subject, foldValueBiases: boolean): Replacement {
  if (!foldValueBiases) return () => 0;
  const biases = model.config.heads.map((_, n) => layerMatrices(model, n).map(({ valueBias }) => valueBias));
  return (_, layer, head) => {
    const data = biases[layer]![head];
    return data === undefined ? 0 : { data, shape: [data.length] };
  };
}

/** Means over all texts: of all tokens [D], or of each position [L, D]. */
function* means(subject: Subject, meanOver: "tokens" | "batch"): LongWork<Replacement> {
  const outputs = yield* outputsOf(subject);
  const D = subject.model.config.headDim;
  const means = subject.model.config.heads.map((heads, n) =>
    heads.map((_, h) => {
      const length = meanOver === "batch" ? outputs[0]![n]!.shape[2]! : 1;
      const sum = new Float64Array(length * D);
      let rows = 0;
      for (const { data, shape } of outputs.map((layers) => layers[n]!)) {
        const [B, H, L] = shape as [number, number, number];
        for (let b = 0; b < B; ++b)
          for (let i = 0; i < L; ++i)
            for (let d = 0; d < D; ++d) sum[(i % length) * D + d]! += data[((b * H + h) * L + i) * D + d]!;
        rows += (B * L) / length;
      }
      return { data: Float32Array.from(sum, (value) => value / rows), shape: [length, D] };
    }),
  );
  return (_, layer, head) => means[layer]![head]!;
}

/** The output of each head in another sequence, drawn for each sequence. */
function* others(subject: Subject, seed: number): LongWork<Replacement> {
  const outputs = yield* outputsOf(subject);
  const rows = subject.texts.flatMap(({ tokens }, text) =>
    Array.from({ length: tokens.batch }, (_, b) => ({ text, b })),
  );
  if (rows.length < 2)
    throw new HeadwiseError("invalid-option", 'batches: with "resample", expected at least two sequences, got one');
  const next = random(seed);
  const drawn = rows.map((_, own) => rows[(own + 1 + Math.floor(next() * (rows.length - 1))) % rows.length]!);
  const first = subject.texts.map((_, text) => rows.findIndex((row) => row.text === text));
  return (text, layer, head) => {
    const [B, , L, D] = outputs[text]![layer]!.shape as [number, number, number, number];
    const data = new Float32Array(B * L * D);
    for (let b = 0; b < B; ++b) {
      const other = drawn[first[text]! + b]!;
      const from = outputs[other.text]![layer]!;
      const at = (other.b * from.shape[1]! + head) * L * D;
      data.set(from.data.subarray(at, at + L * D), b * L * D);
    }
    return { data, shape: [B, 1, L, D] };
  };
}

function refuseUnequal(texts: readonly Text[], why: string): void {
  const lengths = texts.map(({ tokens }) => tokens.length);
  if (lengths.some((length) => length !== lengths[0]))
    throw new HeadwiseError(
      "invalid-shape",
      `batches: ${why}, expected sequences of one length, got ${lengths.join(", ")}`,
    );
}

export function* ablateHeads(
  instance: Instance,
  modelLike: unknown,
  batchesLike: unknown,
  optionsLike: AblateHeadsOptions,
): LongWork<HeadAblation> {
  const options = readOptions(optionsLike, "ablateHeads", optionTable);
  const model = checkLanguageModel(modelLike, instance, "ablateHeads");
  const texts = checkTexts(batchesLike, "batches", model);
  const { metric, with: kind, meanOver } = options;
  if (kind === "resample") refuseUnequal(texts, 'with "resample"');
  if (kind === "mean" && meanOver === "batch") refuseUnequal(texts, 'with meanOver "batch"');
  const metrics = metric === undefined ? [] : texts.map(({ tokens }) => checkMetric(metric, "metric", model, tokens));
  const { count, of } = headColumns(model.config);
  const heads = of.flat().length;
  const step = counter(texts.length * (heads + 1 + Number(kind !== "zero")));
  const subject = { model, texts, step };
  const replacement =
    kind === "zero"
      ? zeros(subject, options.foldValueBiases)
      : yield* kind === "mean" ? means(subject, meanOver) : others(subject, options.seed);
  /** The mean over all texts. */
  function* measure(editOf: (text: number) => Edit[]): LongWork<number> {
    let [sum, all] = [0, 0];
    for (const [n, text] of texts.entries()) {
      const rows = text.tokens.batch;
      const part = metrics[n]
        ? { sum: metrics[n](text.tokens, editOf(n)) * rows, count: rows }
        : lossOfText(model, text, editOf(n));
      [sum, all] = [sum + part.sum, all + part.count];
      yield step();
    }
    return all === 0 ? 0 : sum / all;
  }
  const baseline = yield* measure(() => []);
  const map = unknownTensor(of.length, count);
  for (const [layer, columns] of of.entries()) {
    for (const [head, column] of columns.entries()) {
      const edit = (text: number): Edit[] => [{ layer, at: "heads", head, set: replacement(text, layer, head) }];
      map.data[layer * count + column] = yield* measure(edit);
    }
  }
  return { ...map, baseline };
}
