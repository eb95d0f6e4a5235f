/** The configuration of a transformer, and the parameters that follow from it. */
import {
  checkBoolean,
  checkInteger,
  checkOneOf,
  checkOptions,
  invalidOption,
  isObject,
  maxExtent,
} from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { parametersOf, prunedConfig, resolveConfig, type Parameter } from "../module/config.js";
import type { NativeTransformerConfig } from "../runtime/native.js";
import { product } from "../base/tensor.js";
import type { ResolvedConfig } from "../module/types.js";
import type { ResolvedTransformerConfig, TransformerConfig } from "./types.js";

/** In the order of the core's numbers. */
const norms = ["layer", "rms"] as const;
const activations = ["relu", "gelu", "silu-gated"] as const;
const positionKinds = ["none", "learned", "sinusoidal", "rotary", "alibi"] as const;

const maxLayers = 1000;
const maxHeads = 4096;

/** Of a layer of the first model. */
export const allHeads = ({ numHeads }: { numHeads: number }) =>
  Object.freeze(Array.from({ length: numHeads }, (_, h) => h));

/** The heads of one layer that are left: indices in the first model, ascending. */
function checkHeads(value: unknown, layers: number, numHeads: number): readonly (readonly number[])[] {
  if (!Array.isArray(value)) throw invalidOption("heads", "an array of each layer's heads", value);
  if (value.length !== layers)
    throw new HeadwiseError("invalid-shape", `heads: expected ${layers} arrays, one a layer, got ${value.length}`);
  return Array.from(value, (heads: unknown, n) => {
    if (!Array.isArray(heads)) throw invalidOption(`heads[${n}]`, "an array of head indices", heads);
    if (heads.length > numHeads)
      throw new HeadwiseError("invalid-shape", `heads[${n}]: expected at most ${numHeads}, got ${heads.length}`);
    const indices = heads.map((head) => checkInteger(head, `heads[${n}]`, 0, numHeads - 1));
    if (indices.some((head, at) => at > 0 && head <= indices[at - 1]!))
      throw invalidOption(`heads[${n}]`, "head indices that ascend", indices);
    return Object.freeze(indices);
  });
}

/** Checks a configuration, and fills in the defaults. */
export function resolveTransformerConfig(config: TransformerConfig): ResolvedTransformerConfig {
  if (!isObject(config)) throw invalidOption("transformer", "a configuration { vocabSize, … }", config);
  const given = checkOptions(config, "transformer", [
    "vocabSize",
    "contextLength",
    "layers",
    "embedDim",
    "numHeads",
    "numKvHeads",
    "headDim",
    "feedForwardDim",
    "norm",
    "activation",
    "positions",
    "causal",
    "tieEmbeddings",
    "dropout",
    "seed",
    "heads",
  ]);
  const oneOf = <T>(name: keyof TransformerConfig, allowed: readonly T[], otherwise: T) =>
    given[name] === undefined ? otherwise : checkOneOf<T>(given[name], name, allowed);
  const boolean = (name: keyof TransformerConfig) =>
    given[name] === undefined ? true : checkBoolean(given[name], name);
  const layers = checkInteger(given.layers, "layers", 1, maxLayers);
  const { embedDim, numHeads, numKvHeads, headDim, seed } = resolveConfig({
    embedDim: given.embedDim as number,
    numHeads: checkInteger(given.numHeads, "numHeads", 1, maxHeads),
    numKvHeads: given.numKvHeads,
    headDim: given.headDim,
    seed: given.seed,
  });
  const { dropout = 0 } = given;
  if (typeof dropout !== "number" || !(dropout >= 0 && Math.fround(dropout) < 1))
    throw invalidOption("dropout", "a number from 0 to below 1", dropout);
  const positions = oneOf("positions", positionKinds, "learned");
  if (positions === "rotary" && headDim % 2 !== 0)
    throw new HeadwiseError("invalid-option", `positions: "rotary" needs an even headDim, got ${headDim}`);
  return {
    vocabSize: checkInteger(given.vocabSize, "vocabSize", 1, maxExtent),
    contextLength: checkInteger(given.contextLength, "contextLength", 1, maxExtent),
    layers,
    embedDim,
    numHeads,
    numKvHeads,
    headDim,
    feedForwardDim:
      given.feedForwardDim === undefined
        ? 4 * embedDim
        : checkInteger(given.feedForwardDim, "feedForwardDim", 0, maxExtent),
    norm: oneOf("norm", norms, "layer"),
    activation: oneOf("activation", activations, "gelu"),
    positions,
    causal: boolean("causal"),
    tieEmbeddings: boolean("tieEmbeddings"),
    dropout,
    seed,
    heads: Object.freeze(
      given.heads === undefined
        ? Array(layers).fill(allHeads({ numHeads }))
        : checkHeads(given.heads, layers, numHeads),
    ),
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
    ...(positions === "rotary" && { rope: {} }),
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

/** Bytes of the first model's parameters, and of positions that are not learned. */
export function transformerBytes(config: ResolvedTransformerConfig): number {
  const floats = transformerParameters(config).reduce((count, { shape }) => count + product(shape), 0);
  return 4 * (floats + (config.positions === "sinusoidal" ? config.contextLength * config.embedDim : 0));
}

export function nativeTransformerConfig({ heads: _, ...config }: ResolvedTransformerConfig): NativeTransformerConfig {
  return {
    ...config,
    norm: norms.indexOf(config.norm),
    activation: activations.indexOf(config.activation),
    positions: positionKinds.indexOf(config.positions),
  };
}
