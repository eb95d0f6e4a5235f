/** Direct logit attribution: which parts of the model a logit difference is the sum of. */
import { checkBoolean, oneOf } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor, Tokens } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import type { Model } from "../transformer/transformer.js";
import type { CapturedLayer } from "../transformer/types.js";
import { fitDifference, type CheckedDifference } from "./metric.js";
import { checkLanguageModel, headColumns, rowOf, tokensFor, unknownTensor } from "./model.js";
import type { AttributeLogitsOptions, LogitAttribution } from "./types.js";
import { centre, refuseBentHead } from "./unembed.js";
import { dot, layerMatrices, outputMatrix, ParameterReader } from "./weights.js";

const optionTable = {
  answer: (value) => value,
  against: (value) => value,
  position: (value) => value,
  by: oneOf(["head", "layer"]),
  foldValueBiases: withDefault(checkBoolean, false),
} satisfies OptionTable<AttributeLogitsOptions>;

/** W_U[answer] − W_U[against] of a row, [E], and that of the head's biases. */
function directionOf(model: Model, reader: ParameterReader, { answer, against }: CheckedDifference, b: number): Linear {
  const matrix = outputMatrix(model);
  const bias = reader.find("head.bias");
  const direction = Float64Array.from(reader.row(matrix, answer[b]!));
  let ofBias = bias?.[answer[b]!] ?? 0;
  if (against !== undefined) {
    reader.row(matrix, against[b]!).forEach((value, e) => (direction[e]! -= value));
    ofBias -= bias?.[against[b]!] ?? 0;
  }
  return { direction, ofBias };
}

/** x ↦ x · direction + ofBias. */
interface Linear {
  readonly direction: Float64Array;
  readonly ofBias: number;
}

/** A norm with a given divisor, as seen from behind it: x ↦ (weight ∘ centre(x) / scale + bias) · direction. */
function linearNorm(
  model: Model,
  reader: ParameterReader,
  name: string,
  scale: number,
  direction: Float64Array,
): Linear {
  const weight = reader.get(`${name}.weight`);
  const folded = direction.map((value, e) => (value * weight[e]!) / scale);
  return {
    direction: centre(folded, model.config), // centre(x) · y = x · centre(y)
    ofBias: dot(reader.find(`${name}.bias`) ?? [], direction),
  };
}

/** A row of a batch, and where its logit difference comes from. */
interface Target {
  readonly row: number;
  readonly direction: Float64Array;
}

/** Adds what the heads of a layer give in the directions of the targets to a row of the map; returns what its biases give. */
function addHeads(
  model: Model,
  reader: ParameterReader,
  layer: number,
  { heads, normScales }: CapturedLayer,
  targets: readonly Target[],
  add: (h: number, value: number) => void,
  foldValueBiases: boolean,
): number {
  const { embedDim: E, headDim: D } = model.config;
  const matrices = layerMatrices(model, layer, reader);
  const gates = model.attention(layer).headGates;
  const outBias = reader.find(`layers.${layer}.attention.out_proj.bias`) ?? new Float32Array(E);
  const [H, L] = heads!.shape.slice(-3) as [number, number];
  let ofBias = 0;
  for (const { row, direction } of targets) {
    const written = matrices.map(({ o }, h) => {
      const z = rowOf(heads!, (Math.floor(row / L) * H + h) * L + (row % L));
      const sum = new Float64Array(E);
      for (let d = 0; d < D; ++d) for (let e = 0; e < E; ++e) sum[e]! += gates[h]! * z[d]! * o[d * E + e]!;
      return sum;
    });
    let after: Linear = { direction, ofBias: 0 };
    const scale = normScales?.norm1After?.data[row];
    if (scale !== undefined) after = linearNorm(model, reader, `layers.${layer}.norm1_after`, scale, direction);
    ofBias += dot(outBias, after.direction) + after.ofBias;
    matrices.forEach(({ o, valueBias }, h) => {
      let moved = 0;
      if (foldValueBiases && valueBias)
        for (let d = 0; d < D; ++d)
          moved += gates[h]! * valueBias[d]! * dot(o.subarray(d * E, (d + 1) * E), after.direction);
      add(h, dot(written[h]!, after.direction) - moved);
      ofBias += moved;
    });
  }
  return ofBias;
}

export function* attributeLogits(
  instance: Instance,
  modelLike: unknown,
  tokensLike: Tokens,
  optionsLike: AttributeLogitsOptions,
): LongWork<LogitAttribution> {
  const { by, foldValueBiases, ...metric } = readOptions(optionsLike, "attributeLogits", optionTable);
  const model = checkLanguageModel(modelLike, instance, "attributeLogits");
  refuseBentHead(model, "attributeLogits");
  const { config } = model;
  const tokens = tokensFor(model, tokensLike, "tokens");
  const difference = fitDifference(metric, "", model, tokens);
  const { batch: B, length: L } = tokens;
  const step = counter(config.layers);
  const reader = new ParameterReader(model);
  const capture = {
    heads: "values",
    attention: true,
    feedForward: true,
    stream: ["before"],
    normScales: true,
  } as const;
  const { layers, hidden, normScale } = model.forward(tokens, { capture, logits: "none" });
  const sum = { embedding: 0, bias: 0, total: 0 };
  const targets = Array.from({ length: B }, (_, b): Target => {
    const row = b * L + difference.position;
    const { direction, ofBias } = directionOf(model, reader, difference, b);
    sum.total += dot(rowOf(hidden, row), direction) + ofBias;
    const scale = normScale?.data[row];
    const last = scale ? linearNorm(model, reader, "norm", scale, direction) : { direction, ofBias: 0 };
    sum.bias += ofBias + last.ofBias;
    sum.embedding += dot(rowOf(layers[0]!.stream!.before!, row), last.direction);
    return { row, direction: last.direction };
  });
  const { count, of } = headColumns(config);
  const heads = unknownTensor(config.layers, count);
  const ofLayers = (place: "attention" | "feedForward") => ({
    data: Float32Array.from(layers, (layer) => {
      const given = targets.map(({ row, direction }) => (layer[place] ? dot(rowOf(layer[place], row), direction) : 0));
      return given.reduce((all, value) => all + value, 0) / B;
    }),
    shape: [config.layers],
  });
  for (const [n, layer] of layers.entries()) {
    if (by === "head") {
      const values = of[n]!.map(() => 0);
      const add = (h: number, value: number) => (values[h]! += value);
      sum.bias += addHeads(model, reader, n, layer, targets, add, foldValueBiases);
      values.forEach((value, h) => (heads.data[n * count + of[n]![h]!] = value / B));
    }
    yield step();
  }
  return {
    ...(by === "head" ? { heads } : { attention: ofLayers("attention") }),
    feedForward: ofLayers("feedForward"),
    ...{ embedding: sum.embedding / B, bias: sum.bias / B, total: sum.total / B },
  } as LogitAttribution;
}
