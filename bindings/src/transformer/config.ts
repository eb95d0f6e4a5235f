/** The configuration of a transformer, and the parameters that follow from it. */
import { fitRope, ropeTable } from "../attention/rotary_embedding.js";
import {
  checkBoolean,
  checkInteger,
  checkRate,
  integer,
  invalidOption,
  number,
  oneOf,
  readList,
  refuseOtherLength,
  seed,
} from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { group, optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { product } from "../base/tensor.js";
import { nativeRope, parametersOf, prunedConfig, resolveConfig, type Parameter } from "../module/config.js";
import type { ResolvedConfig } from "../module/types.js";
import type { NativeTransformerConfig } from "../runtime/native.js";
import type { ResolvedTransformerConfig, TransformerConfig } from "./types.js";

/** In the order of the core's numbers. */
const norms = ["layer", "rms"] as const;
const activations = ["relu", "gelu", "silu-gated"] as const;
const anyActivation = oneOf([...activations, "swiglu"]);
const checkActivation = (value: unknown, name: string) => {
  const activation = anyActivation(value, name);
  return activation === "swiglu" ? "silu-gated" : activation;
};
const positionKinds = ["none", "learned", "sinusoidal", "rotary", "alibi"] as const;

const defaultEpsilon = { layer: 1e-5, rms: 1e-6 };
const ropeDefaults = { base: undefined, dim: undefined, interleaved: false };

const maxLayers = 1000;
const maxHeads = 4096;

const configTable = {
  vocabSize: integer(1),
  contextLength: integer(1),
  layers: integer(1, maxLayers),
  embedDim: integer(1),
  numHeads: integer(1, maxHeads),
  numKvHeads: optional(integer(1, maxHeads)),
  headDim: optional(integer(1)),
  feedForwardDim: optional(integer(0)),
  norm: withDefault(oneOf(norms), "layer"),
  normEpsilon: optional(number("a finite float32 number > 0", (x) => Math.fround(x) > 0)),
  activation: withDefault(checkActivation, "gelu"),
  positions: withDefault(oneOf(positionKinds), "learned"),
  rope: optional(group(ropeTable)),
  causal: withDefault(checkBoolean, true),
  tieEmbeddings: withDefault(checkBoolean, true),
  dropout: withDefault(checkRate, 0),
  seed: withDefault(seed, 0),
  heads: optional(checkHeads),
} satisfies OptionTable<TransformerConfig>;

/** Of a layer of the first model. */
export const allHeads = ({ numHeads }: { numHeads: number }) =>
  Object.freeze(Array.from({ length: numHeads }, (_, h) => h));

/** The heads of each layer that are left: indices in the first model, ascending. */
function checkHeads(value: unknown, name: string): readonly (readonly number[])[] {
  return readList(value, name, "an array of each layer's heads", maxLayers).map((layer, n) => {
    const at = `${name}[${n}]`;
    const heads = readList(layer, at, "an array of head indices", maxHeads);
    const indices = heads.map((head) => checkInteger(head, at, 0, maxHeads - 1));
    if (indices.some((head, place) => place > 0 && head <= indices[place - 1]!))
      throw invalidOption(at, "head indices that ascend", indices);
    return Object.freeze(indices);
  });
}

/** Checks a configuration, and fills in the defaults. */
export function resolveTransformerConfig(config: TransformerConfig): ResolvedTransformerConfig {
  if (config === undefined) throw invalidOption("transformer", "a configuration { vocabSize, … }", config);
  const given = readOptions(config, "transformer", configTable);
  const { layers, positions } = given;
  const { embedDim, numHeads, numKvHeads, headDim } = resolveConfig({
    embedDim: given.embedDim,
    numHeads: given.numHeads,
    numKvHeads: given.numKvHeads,
    headDim: given.headDim,
  });
  const { rope = ropeDefaults, normEpsilon = defaultEpsilon[given.norm], ...rest } = given;
  if (positions !== "rotary" && given.rope !== undefined)
    throw new HeadwiseError("invalid-option", 'rope: only with positions: "rotary"');
  if (positions === "rotary" && headDim % 2 !== 0 && rope.dim === undefined)
    throw new HeadwiseError("invalid-option", `positions: "rotary" needs an even headDim or rope.dim, got ${headDim}`);
  const heads = given.heads ?? Array<readonly number[]>(layers).fill(allHeads({ numHeads }));
  refuseOtherLength(heads, "heads (one array a layer)", layers);
  heads.forEach((ofLayer, n) => ofLayer.forEach((head) => checkInteger(head, `heads[${n}]`, 0, numHeads - 1)));
  const feedForwardDim = given.feedForwardDim ?? 4 * embedDim;
  return {
    ...rest,
    numKvHeads,
    headDim,
    feedForwardDim,
    normEpsilon,
    ...(positions === "rotary" && { rope: Object.freeze(fitRope(rope, headDim, "rope.")) }),
    heads: Object.freeze(heads),
  };
}

/** The configuration of a layer's attention, with the heads that are left. */
export function attentionConfig(config: ResolvedTransformerConfig, layer: number): ResolvedConfig {
  const { embedDim, numHeads, numKvHeads, headDim, seed, positions } = config;
  const whole = resolveConfig({
    embedDim,
    numHeads,
    numKvHeads,
    headDim,
    seed,
    bias: config.norm === "layer",
    alibi: positions === "alibi",
    ...(config.rope && { rope: config.rope }),
  });
  return prunedConfig(whole, config.heads[layer]!);
}

type Named = Pick<Parameter, "name" | "shape">;

/** The parameters of a configuration by name, in the core's order. */
export function* eachTransformerParameter(config: ResolvedTransformerConfig): Generator<Named, void, void> {
  const { vocabSize, contextLength, layers, embedDim, feedForwardDim, norm, activation } = config;
  const vectors = norm === "layer" ? ["weight", "bias"] : ["weight"];
  const normOf = (name: string): Named[] => vectors.map((vector) => ({ name: `${name}.${vector}`, shape: [embedDim] }));
  const linear = (name: string, outputs: number, inputs: number): Named[] =>
    vectors.map((part) => ({ name: `${name}.${part}`, shape: part === "bias" ? [outputs] : [outputs, inputs] }));
  yield { name: "embedding.weight", shape: [vocabSize, embedDim] };
  if (config.positions === "learned") yield { name: "positions.weight", shape: [contextLength, embedDim] };
  for (let n = 0; n < layers; ++n) {
    const layer = `layers.${n}`;
    yield* normOf(`${layer}.norm1`);
    for (const { name, shape } of parametersOf(attentionConfig(config, n)))
      yield { name: `${layer}.attention.${name}`, shape };
    if (feedForwardDim === 0) continue;
    yield* normOf(`${layer}.norm2`);
    yield* linear(`${layer}.feed_forward.up`, feedForwardDim, embedDim);
    if (activation === "silu-gated") yield* linear(`${layer}.feed_forward.gate`, feedForwardDim, embedDim);
    yield* linear(`${layer}.feed_forward.down`, embedDim, feedForwardDim);
  }
  yield* normOf("norm");
  if (!config.tieEmbeddings) yield { name: "head.weight", shape: [vocabSize, embedDim] };
}

export const transformerParameters = (config: ResolvedTransformerConfig): Parameter[] =>
  Array.from(eachTransformerParameter(config), (parameter, index) => ({ ...parameter, index }));

/** Bytes of the keys and values of a sequence. */
export function keyValueBytes(config: ResolvedTransformerConfig, tokens: number): number {
  const heads = config.heads.reduce((count, _, n) => count + attentionConfig(config, n).numKvHeads, 0);
  return 8 * heads * config.headDim * tokens;
}

/** Bytes of the first model's parameters. */
export function transformerBytes(config: ResolvedTransformerConfig): number {
  return 4 * transformerParameters(config).reduce((count, { shape }) => count + product(shape), 0);
}

export function nativeTransformerConfig({
  heads: _,
  rope,
  ...config
}: ResolvedTransformerConfig): NativeTransformerConfig {
  return {
    ...config,
    norm: norms.indexOf(config.norm),
    activation: activations.indexOf(config.activation),
    positions: positionKinds.indexOf(config.positions),
    ...nativeRope(rope),
  };
}
