/** The configuration of a module, and the parameters that follow from it. */
import { scaledFrequencies } from "../attention/rope_scaling.js";
import { fitRope, ropeTable } from "../attention/rotary_embedding.js";
import {
  checkBoolean,
  checkInteger,
  float32,
  integer,
  invalidOption,
  maxExtent,
  oneOf,
  readList,
  refuseOtherLength,
  seed,
} from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { group, optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { dtypes, type NativeConfig } from "../runtime/native.js";
import type { MultiHeadAttentionConfig, ResolvedConfig } from "./types.js";

/** Reads `alibi`: a boolean, or the slopes as float32. */
function checkAlibi(value: unknown, name: string): boolean | readonly number[] {
  if (typeof value === "boolean") return value;
  const slopes = readList(value, name, "true, false or an array of slopes");
  return Object.freeze(slopes.map((slope, h) => Math.fround(checkSlope(slope, `${name}[${h}]`))));
}

const checkSlope = float32("");

const configTable = {
  embedDim: integer(1),
  numHeads: integer(0),
  numKvHeads: optional(integer(0)),
  headGroups: optional((value, name) => readList(value, name, "an array of key/value heads")),
  headDim: optional(integer(1)),
  valueHeadDim: optional(integer(1)),
  keyDim: optional(integer(1)),
  valueDim: optional(integer(1)),
  outputDim: optional(integer(1)),
  bias: withDefault(oneOf([true, false, "qkv", "out"]), true),
  scale: optional(float32(">= 0")),
  softcap: withDefault(float32(">= 0"), 0),
  rope: optional(group(ropeTable)),
  alibi: withDefault(checkAlibi, false),
  queryKeyNorm: withDefault(checkBoolean, false),
  normEpsilon: withDefault(float32("> 0"), 1e-6),
  seed: withDefault(seed, 0),
  dtype: withDefault(oneOf(dtypes), "f32"),
} satisfies OptionTable<MultiHeadAttentionConfig>;

/** Checks the number of key/value heads and, for groups of unequal size, which head reads which. */
function fitGroups({ numHeads, numKvHeads, headGroups }: Checked<typeof configTable>) {
  if (headGroups === undefined) {
    const count = checkInteger(numKvHeads ?? numHeads, "numKvHeads", Math.min(numHeads, 1), maxExtent);
    if (count > numHeads || numHeads % count > 0) {
      throw new HeadwiseError("invalid-shape", `numKvHeads: ${count} does not divide numHeads = ${numHeads}`);
    }
    return { numKvHeads: count };
  }
  refuseOtherLength(headGroups, "headGroups", numHeads);
  const kvHeads = headGroups as number[];
  if (!kvHeads.every((g, h) => (h === 0 ? g === 0 : g === kvHeads[h - 1] || g === kvHeads[h - 1]! + 1)))
    throw invalidOption("headGroups", "key/value heads that ascend from 0 without gaps", headGroups);
  const groups = groupsOf(kvHeads);
  if (numKvHeads !== undefined && numKvHeads !== groups.numKvHeads)
    throw invalidOption("numKvHeads", `${groups.numKvHeads}, as headGroups has`, numKvHeads);
  return groups;
}

/** `numKvHeads` and `headGroups` for heads that read these key/value heads. */
function groupsOf(kvHeads: readonly number[]): { numKvHeads: number; headGroups?: readonly number[] } {
  const numKvHeads = (kvHeads.at(-1) ?? -1) + 1;
  const size = kvHeads.length / numKvHeads;
  const uneven = kvHeads.some((g, h) => !Number.isInteger(size) || g !== Math.floor(h / size));
  return uneven ? { numKvHeads, headGroups: Object.freeze([...kvHeads]) } : { numKvHeads };
}

/** The key/value head that each head reads. */
export function kvHeadsOf({ numHeads, numKvHeads, headGroups }: ResolvedConfig): readonly number[] {
  return headGroups ?? Array.from({ length: numHeads }, (_, h) => Math.floor((h * numKvHeads) / numHeads));
}

/** The configuration with only the heads `kept`. */
export function prunedConfig(config: ResolvedConfig, kept: readonly number[]): ResolvedConfig {
  const kvHeads = kvHeadsOf(config);
  const keptKvHeads = new Map([...new Set(kept.map((h) => kvHeads[h]!))].map((g, index) => [g, index]));
  const { headGroups: _, ...rest } = config;
  return { ...rest, numHeads: kept.length, ...groupsOf(kept.map((h) => keptKvHeads.get(kvHeads[h]!)!)) };
}

/** Checks a configuration, and fills in the defaults. */
export function resolveConfig(config: MultiHeadAttentionConfig): ResolvedConfig {
  if (config === undefined) throw invalidOption("multiHeadAttention", "a configuration { embedDim, numHeads }", config);
  const given = readOptions(config, "multiHeadAttention", configTable);
  const { embedDim, numHeads, bias, softcap, alibi, queryKeyNorm, normEpsilon, seed, dtype } = given;
  if (given.headDim === undefined && !(embedDim % numHeads === 0)) {
    throw new HeadwiseError(
      "invalid-option",
      `numHeads: ${numHeads} heads do not divide embedDim = ${embedDim}; change one of them or give headDim`,
    );
  }
  if (Array.isArray(alibi)) refuseOtherLength(alibi, "alibi", numHeads);
  const headDim = given.headDim ?? embedDim / numHeads;
  const keyDim = given.keyDim ?? embedDim;
  return {
    embedDim,
    numHeads,
    ...fitGroups(given),
    headDim,
    valueHeadDim: given.valueHeadDim ?? headDim,
    keyDim,
    valueDim: given.valueDim ?? keyDim,
    outputDim: given.outputDim ?? embedDim,
    bias,
    scale: given.scale ?? 1 / Math.sqrt(headDim),
    softcap,
    ...(given.rope && { rope: Object.freeze(fitRope(given.rope, headDim, "rope.")) }),
    alibi,
    queryKeyNorm,
    normEpsilon,
    seed,
    dtype,
  };
}

/** The core's fields of a rotary embedding. Without one, `ropeDim` is 0. */
export function nativeRope(rope: ResolvedConfig["rope"]) {
  return {
    ropeDim: rope?.dim ?? 0,
    ropeBase: rope?.base ?? 0,
    ropeInterleaved: rope?.interleaved ?? false,
    ropeFactor: rope?.scaling === undefined ? 1 : scaledFrequencies({ ...rope, scaling: rope.scaling }, 0).factor,
  };
}

export interface Parameter {
  readonly name: string;
  readonly index: number; // in the core's order
  readonly shape: readonly number[];
}

/** The parameters that a configuration has, in the core's order. */
export function parametersOf(config: ResolvedConfig): Parameter[] {
  const { numHeads, numKvHeads, headDim, valueHeadDim } = config;
  const projections: [string, number, number][] = [
    ["q_proj", numHeads * headDim, config.embedDim],
    ["k_proj", numKvHeads * headDim, config.keyDim],
    ["v_proj", numKvHeads * valueHeadDim, config.valueDim],
    ["out_proj", config.outputDim, numHeads * valueHeadDim],
  ];
  const list = projections.flatMap(([name, outputs, inputs]) => {
    const weight = { name: `${name}.weight`, shape: [outputs, inputs] };
    return hasBias(config.bias, name === "out_proj" ? "out" : "qkv")
      ? [weight, { name: `${name}.bias`, shape: [outputs] }]
      : [weight];
  });
  if (config.queryKeyNorm)
    for (const name of ["q_norm", "k_norm"]) list.push({ name: `${name}.weight`, shape: [headDim] });
  return list.map((parameter, index) => ({ ...parameter, index }));
}

const hasBias = (bias: ResolvedConfig["bias"], of: "qkv" | "out") => bias === true || bias === of;

export function nativeConfig({ rope, headGroups: _, ...config }: ResolvedConfig): NativeConfig {
  return {
    ...config,
    alibi: config.alibi !== false,
    qkvBias: hasBias(config.bias, "qkv"),
    outBias: hasBias(config.bias, "out"),
    ...nativeRope(rope),
    weightFormat: dtypes.indexOf(config.dtype),
  };
}
