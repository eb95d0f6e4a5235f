/** The configuration of a module, and the parameters that follow from it. */
import { checkInteger, checkOneOf, checkOptions, checkScale, invalidOption, isObject, maxExtent } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import type { MultiHeadAttentionConfig, ResolvedConfig } from "./types.js";

/** Checks a configuration, and fills in the defaults. */
export function resolveConfig(config: MultiHeadAttentionConfig): ResolvedConfig {
  if (!isObject(config)) throw invalidOption("multiHeadAttention", "a configuration { embedDim, numHeads }", config);
  const given = checkOptions(config, "multiHeadAttention", [
    "embedDim",
    "numHeads",
    "headDim",
    "valueHeadDim",
    "keyDim",
    "valueDim",
    "outputDim",
    "bias",
    "scale",
    "seed",
  ]);
  const width = (name: keyof MultiHeadAttentionConfig, otherwise?: number) =>
    given[name] === undefined && otherwise !== undefined ? otherwise : checkInteger(given[name], name, 1, maxExtent);
  const embedDim = width("embedDim");
  const numHeads = width("numHeads");
  if (given.headDim === undefined && embedDim % numHeads !== 0) {
    throw new HeadwiseError(
      "invalid-option",
      `numHeads: ${numHeads} heads do not divide embedDim = ${embedDim}; change one of them or give headDim`,
    );
  }
  const headDim = width("headDim", embedDim / numHeads);
  const keyDim = width("keyDim", embedDim);
  return {
    embedDim,
    numHeads,
    headDim,
    valueHeadDim: width("valueHeadDim", headDim),
    keyDim,
    valueDim: width("valueDim", keyDim),
    outputDim: width("outputDim", embedDim),
    bias: given.bias === undefined ? true : checkOneOf(given.bias, "bias", [true, false, "qkv"] as const),
    scale: given.scale === undefined ? 1 / Math.sqrt(headDim) : checkScale(given.scale),
    seed: given.seed === undefined ? 0 : checkInteger(given.seed, "seed", 0, 2 ** 32 - 1),
  };
}

export interface Parameter {
  readonly name: string;
  readonly index: number; // in the core
  readonly shape: readonly number[];
}

/** The parameters that a configuration has, in the core's order. */
export function parametersOf(config: ResolvedConfig): Parameter[] {
  const queryWidth = config.numHeads * config.headDim;
  const valueWidth = config.numHeads * config.valueHeadDim;
  const projections: [string, number, number][] = [
    ["q_proj", queryWidth, config.embedDim],
    ["k_proj", queryWidth, config.keyDim],
    ["v_proj", valueWidth, config.valueDim],
    ["out_proj", config.outputDim, valueWidth],
  ];
  return projections.flatMap(([name, outputs, inputs], p) => {
    const hasBias = config.bias === true || (config.bias === "qkv" && name !== "out_proj");
    const weight = { name: `${name}.weight`, index: 2 * p, shape: [outputs, inputs] };
    return hasBias ? [weight, { name: `${name}.bias`, index: 2 * p + 1, shape: [outputs] }] : [weight];
  });
}
