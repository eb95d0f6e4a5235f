/** The configuration of a module, and the parameters that follow from it. */
import {
  checkInteger,
  checkOneOf,
  checkOptions,
  checkScale,
  invalidOption,
  isObject,
  maxExtent,
} from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { checkRope } from "../attention/rotary_embedding.js";
import type { MultiHeadAttentionConfig, ResolvedConfig } from "./types.js";

/** How many key/value heads there are; which head reads which, where a formula does not say it. */
function checkGroups({ numKvHeads, headGroups }: Partial<MultiHeadAttentionConfig>, numHeads: number) {
  if (headGroups === undefined) {
    const least = Math.min(numHeads, 1);
    const count = numKvHeads === undefined ? numHeads : checkInteger(numKvHeads, "numKvHeads", least, maxExtent);
    if (count > numHeads || numHeads % count > 0) {
      throw new HeadwiseError("invalid-shape", `numKvHeads: ${count} does not divide numHeads = ${numHeads}`);
    }
    return { numKvHeads: count };
  }
  if (!Array.isArray(headGroups)) throw invalidOption("headGroups", "an array of key/value heads", headGroups);
  if (headGroups.length !== numHeads) {
    throw new HeadwiseError("invalid-shape", `headGroups: expected ${numHeads} elements, got ${headGroups.length}`);
  }
  const kvHeads: number[] = Array.from(headGroups);
  if (!kvHeads.every((g, h) => (h === 0 ? g === 0 : g === kvHeads[h - 1] || g === kvHeads[h - 1]! + 1)))
    throw invalidOption("headGroups", "key/value heads that ascend from 0 without gaps", headGroups);
  const groups = groupsOf(kvHeads);
  if (numKvHeads !== undefined && numKvHeads !== groups.numKvHeads)
    throw invalidOption("numKvHeads", `${groups.numKvHeads}, as headGroups has`, numKvHeads);
  return groups;
}

/** The configuration of heads that read these key/value heads. */
function groupsOf(kvHeads: readonly number[]): { numKvHeads: number; headGroups?: readonly number[] } {
  const numKvHeads = (kvHeads.at(-1) ?? -1) + 1;
  const size = kvHeads.length / numKvHeads;
  const uneven = kvHeads.some((g, h) => !Number.isInteger(size) || g !== Math.floor(h / size));
  return uneven ? { numKvHeads, headGroups: Object.freeze([...kvHeads]) } : { numKvHeads };
}

/** The key/value head that each head reads. */
function kvHeadsOf({ numHeads, numKvHeads, headGroups }: ResolvedConfig): readonly number[] {
  return headGroups ?? Array.from({ length: numHeads }, (_, h) => Math.floor((h * numKvHeads) / numHeads));
}

/** The configuration with only the heads `kept`. */
export function prunedConfig(config: ResolvedConfig, kept: readonly number[]): ResolvedConfig {
  const kvHeads = kvHeadsOf(config);
  const keptKvHeads = new Map([...new Set(kept.map((h) => kvHeads[h]!))].map((g, index) => [g, index]));
  const { headGroups: _, ...rest } = config;
  return { ...rest, numHeads: kept.length, ...groupsOf(kept.map((h) => keptKvHeads.get(kvHeads[h]!)!)) };
}

/** `alibi`: a switch, or the heads' slopes, as float32. */
function checkAlibi(alibi: unknown, numHeads: number): boolean | readonly number[] {
  if (!Array.isArray(alibi)) {
    if (typeof alibi !== "boolean") throw invalidOption("alibi", "true, false or an array of slopes", alibi);
    return alibi;
  }
  if (alibi.length !== numHeads)
    throw new HeadwiseError("invalid-shape", `alibi: expected ${numHeads} slopes, got ${alibi.length}`);
  return Object.freeze(
    Array.from(alibi, (slope: unknown, h) => {
      if (typeof slope === "number" && Number.isFinite(Math.fround(slope))) return Math.fround(slope);
      throw invalidOption(`alibi[${h}]`, "a finite float32 number", slope);
    }),
  );
}

/** Checks a configuration, and fills in the defaults. */
export function resolveConfig(config: MultiHeadAttentionConfig): ResolvedConfig {
  if (!isObject(config)) throw invalidOption("multiHeadAttention", "a configuration { embedDim, numHeads }", config);
  const given = checkOptions(config, "multiHeadAttention", [
    "embedDim",
    "numHeads",
    "numKvHeads",
    "headGroups",
    "headDim",
    "valueHeadDim",
    "keyDim",
    "valueDim",
    "outputDim",
    "bias",
    "scale",
    "softcap",
    "rope",
    "alibi",
    "seed",
  ]);
  const width = (name: keyof MultiHeadAttentionConfig, otherwise?: number) =>
    given[name] === undefined && otherwise !== undefined ? otherwise : checkInteger(given[name], name, 1, maxExtent);
  const embedDim = width("embedDim");
  const numHeads = checkInteger(given.numHeads, "numHeads", 0, maxExtent);
  if (given.headDim === undefined && !(embedDim % numHeads === 0)) {
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
    ...checkGroups(given, numHeads),
    headDim,
    valueHeadDim: width("valueHeadDim", headDim),
    keyDim,
    valueDim: width("valueDim", keyDim),
    outputDim: width("outputDim", embedDim),
    bias: given.bias === undefined ? true : checkOneOf(given.bias, "bias", [true, false, "qkv"] as const),
    scale: given.scale === undefined ? 1 / Math.sqrt(headDim) : checkScale(given.scale),
    softcap: given.softcap === undefined ? 0 : checkScale(given.softcap, "softcap"),
    ...(given.rope !== undefined && {
      rope: Object.freeze(
        checkRope(checkOptions(given.rope, "rope", ["base", "dim", "interleaved"]), headDim, "rope."),
      ),
    }),
    alibi: given.alibi === undefined ? false : checkAlibi(given.alibi, numHeads),
    seed: given.seed === undefined ? 0 : checkInteger(given.seed, "seed", 0, 2 ** 32 - 1),
  };
}

export interface Parameter {
  readonly name: string;
  readonly index: number; // its place among the core's
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
    const hasBias = config.bias === true || (config.bias === "qkv" && name !== "out_proj");
    const weight = { name: `${name}.weight`, shape: [outputs, inputs] };
    return hasBias ? [weight, { name: `${name}.bias`, shape: [outputs] }] : [weight];
  });
  return list.map((parameter, index) => ({ ...parameter, index }));
}
