/** The configuration in the form that the core takes, and its list of parameters. */
import { scaledFrequencies } from "../attention/rope_scaling.js";
import { product } from "../base/tensor.js";
import { parametersOf, type Parameter } from "../module/config.js";
import { dtypes, type NativeTransformerConfig } from "../runtime/native.js";
import { attentionConfig, ropeOf } from "./config.js";
import { normsOf } from "./places.js";
import type { ResolvedTransformerConfig } from "./types.js";

/** In the order of the core's numbers. */
const norms = ["layer", "rms"] as const;
const activations = ["relu", "gelu", "gelu-erf", "quick-gelu", "silu", "tanh"] as const;
const positionKinds = ["none", "learned", "sinusoidal", "rotary", "alibi"] as const;
const poolers = { none: 0, row: 1, norm: 2, tanh: 3, relu: 3, transform: 4 } as const;

/** A classifier behind a transform has a bias, whether the transform has one or not (ModernBERT). */
const hasClassBias = ({ labels, bias, pooler }: ResolvedTransformerConfig) =>
  labels > 0 && (bias.readout || pooler === "transform");

/** Number of elements of a patch. */
export const patchDim = ({ patches }: ResolvedTransformerConfig) =>
  patches === undefined ? 0 : patches.channels * patches.size ** 2;

type Named = Pick<Parameter, "name" | "shape">;

/** The parameters of a configuration by name, in the core's order. */
export function* eachTransformerParameter(config: ResolvedTransformerConfig): Generator<Named, void, void> {
  const { vocabSize: V, contextLength, embedDim: E, feedForwardDim: F, bias, patches, pooler } = config;
  const some = (there: boolean, name: string, ...shape: number[]): Named[] => (there ? [{ name, shape }] : []);
  const norm = (there: boolean, name: string) => [
    ...some(there, `${name}.weight`, E),
    ...some(there && config.normBias, `${name}.bias`, E),
  ];
  const linear = (there: boolean, name: string, outputs: number, inputs: number, hasBias: boolean) => [
    ...some(there, `${name}.weight`, outputs, inputs),
    ...some(there && hasBias, `${name}.bias`, outputs),
  ];
  yield* some(V > 0, "embedding.weight", V, E);
  yield* some(config.positions === "learned", "positions.weight", contextLength, E);
  yield* some(config.tokenTypes > 0, "token_types.weight", config.tokenTypes, E);
  yield* linear(patches !== undefined, "embedding.patch", E, patchDim(config), patches?.bias ?? false);
  yield* some(patches?.classToken ?? false, "embedding.class", E);
  yield* some((patches?.registerTokens ?? 0) > 0, "embedding.registers", patches?.registerTokens ?? 0, E);
  yield* norm(config.embeddingNorm, "embedding_norm");
  for (let n = 0; n < config.layers; ++n) {
    const layer = `layers.${n}`;
    const norms = normsOf(config, n);
    yield* norm(norms.includes("norm1"), `${layer}.norm1`);
    for (const { name, shape } of parametersOf(attentionConfig(config, n)))
      yield { name: `${layer}.attention.${name}`, shape };
    yield* norm(norms.includes("norm1After"), `${layer}.norm1_after`);
    if (F === 0) continue;
    yield* norm(norms.includes("norm2"), `${layer}.norm2`);
    yield* linear(true, `${layer}.feed_forward.up`, F, E, bias.feedForward);
    yield* linear(config.gated, `${layer}.feed_forward.gate`, F, E, bias.feedForward);
    yield* linear(true, `${layer}.feed_forward.down`, E, F, bias.feedForward);
    yield* norm(norms.includes("norm2After"), `${layer}.norm2_after`);
  }
  yield* norm(config.finalNorm, "norm");
  yield* linear(config.headTransform, "head_transform.dense", E, E, bias.readout);
  yield* norm(config.headTransform, "head_transform.norm");
  yield* some(config.head && !config.tieEmbeddings, "head.weight", V, E);
  yield* some(config.headBias, "head.bias", V);
  yield* linear(poolers[pooler] >= poolers.tanh, "pooler.dense", E, E, bias.readout);
  yield* norm(pooler === "norm" || pooler === "transform", "pooler.norm");
  yield* linear(config.labels > 0, "classifier", config.labels, E, hasClassBias(config));
  yield* linear(config.projectionDim > 0, "projection", config.projectionDim, E, false);
}

export const transformerParameters = (config: ResolvedTransformerConfig): Parameter[] =>
  Array.from(eachTransformerParameter(config), (parameter, index) => ({ ...parameter, index }));

/** Whether the core keeps a parameter in the model's number format. Tables of positions and the like stay float32. */
export const isMatrix = ({ name, shape }: Named): boolean =>
  shape.length === 2 && !/^(positions\.weight|token_types\.weight|embedding\.registers)$/.test(name);

/** Bytes of the first model's parameters, about. */
export function transformerBytes(config: ResolvedTransformerConfig): number {
  return (
    { f32: 4, bf16: 2, int8: 1 }[config.dtype] *
    transformerParameters(config).reduce((count, { shape }) => count + product(shape), 0)
  );
}

export function nativeTransformerConfig(config: ResolvedTransformerConfig): NativeTransformerConfig {
  const { normPlacement, bias, patches, pooler, activation } = config;
  const plain = activation === "silu-gated" ? "silu" : activation;
  return {
    ...config,
    norm: { kind: norms.indexOf(config.norm), bias: config.normBias, epsilon: config.normEpsilon },
    normBefore: normPlacement !== "after",
    normAfter: normPlacement === "both",
    normAfterSum: normPlacement === "after",
    parallel: normPlacement.startsWith("parallel"),
    sharedNorm: normPlacement === "parallel-shared",
    qkvBias: bias.qkv,
    outBias: bias.out,
    feedForwardBias: bias.feedForward,
    activation: activations.indexOf(plain),
    positions: positionKinds.indexOf(config.positions),
    patchDim: patchDim(config),
    registerTokens: patches?.registerTokens ?? 0,
    patchBias: patches?.bias ?? false,
    classToken: patches?.classToken ?? false,
    pooling: poolers[pooler],
    poolerActivation: activations.indexOf(pooler === "transform" ? plain : pooler === "relu" ? "relu" : "tanh"),
    classes: config.labels + config.projectionDim,
    classBias: hasClassBias(config),
    readoutBias: bias.readout,
    weightFormat: dtypes.indexOf(config.dtype),
  };
}

/** The scaled frequencies of layers for texts of a length, as inputs of a call by name. */
export function layerFrequencies(config: ResolvedTransformerConfig, length: number): Record<string, Float64Array> {
  const inputs: Record<string, Float64Array> = {};
  for (let n = 0; n < config.layers; ++n) {
    const rope = ropeOf(config, n);
    if (rope?.scaling)
      inputs[`frequencies ${n}`] = scaledFrequencies({ ...rope, scaling: rope.scaling }, length).frequencies;
  }
  return inputs;
}

/** Where these lie, a word a layer. */
export const frequencyTable = ({ layers }: ResolvedTransformerConfig, pointers: Readonly<Record<string, number>>) =>
  Array.from({ length: layers }, (_, n) => pointers[`frequencies ${n}`] ?? 0);

/** The layers as the core's LayerCall. */
export function nativeLayers(config: ResolvedTransformerConfig): Float64Array {
  const rows = config.layerOptions.map(({ window, norm1 }, n) => {
    const rope = ropeOf(config, n);
    const factor = rope?.scaling ? scaledFrequencies({ ...rope, scaling: rope.scaling }, 0).factor : 1;
    return [
      ...[window?.left ?? -1, window?.right ?? -1],
      ...[rope?.dim ?? 0, rope?.base ?? 0, Number(rope?.interleaved ?? false), factor],
      Number(norm1 !== false),
    ];
  });
  return Float64Array.from(rows.flat());
}

/** Size in bytes of a token's keys and values. */
export function keyValueBytes(config: ResolvedTransformerConfig): number {
  const heads = config.heads.reduce((count, _, n) => count + attentionConfig(config, n).numKvHeads, 0);
  return 8 * heads * config.headDim;
}
