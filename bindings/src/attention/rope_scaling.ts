/** Scaled frequencies of rotary embeddings for longer texts, computed as in transformers. */
import { checkOneOf, float32, float64, integer, invalidOption } from "../base/checks.js";
import { optional, readOptions, type OptionTable } from "../base/options.js";
import type { RopeConfig, RopeScaling } from "./types.js";

const table = {
  type: (value, name) => checkOneOf(value, name, ["linear", "dynamic", "yarn", "llama3"] as const),
  factor: float64("> 0"),
  originalLength: optional(integer(1)),
  lowFrequencyFactor: optional(float64("> 0")),
  highFrequencyFactor: optional(float64("> 0")),
  betaFast: optional(float64("> 0")),
  betaSlow: optional(float64("> 0")),
  attentionFactor: optional(float32("> 0")),
} satisfies OptionTable<RopeScaling>;

/** The options that each type requires in addition to `factor`. */
const needs = {
  linear: [],
  dynamic: ["originalLength"],
  yarn: ["originalLength"],
  llama3: ["originalLength", "lowFrequencyFactor", "highFrequencyFactor"],
} as const;

export function checkScaling(value: unknown, name: string): RopeScaling {
  const given = readOptions(value, name, table, `${name}.`);
  for (const option of needs[given.type]) {
    if (given[option] === undefined)
      throw invalidOption(`${name}.${option}`, `a number, as "${given.type}" needs`, undefined);
  }
  const entries = Object.entries(given).filter(([, member]) => member !== undefined);
  return Object.freeze(Object.fromEntries(entries) as unknown as RopeScaling);
}

/** Pair k's angle is position · frequencies[k]; cosines and sines are multiplied by `factor`. */
export interface Frequencies {
  readonly frequencies: Float64Array;
  readonly factor: number;
}

const plain = (base: number, dim: number) => Float64Array.from({ length: dim / 2 }, (_, k) => base ** ((-2 * k) / dim));

/** @param length number of tokens of the text, for "dynamic" */
export function scaledFrequencies(
  { base, dim, scaling }: Required<Pick<RopeConfig, "base" | "dim" | "scaling">>,
  length: number,
): Frequencies {
  const { type, factor, originalLength: original = 1 } = scaling;
  const frequencies = plain(base, dim);
  if (type === "linear") return { frequencies: frequencies.map((f) => f / factor), factor: 1 };
  if (type === "dynamic") {
    const stretch = (factor * length) / original - (factor - 1);
    const longer = length > original ? base * stretch ** (dim / (dim - 2)) : base;
    return { frequencies: plain(longer, dim), factor: 1 };
  }
  if (type === "llama3") {
    const { lowFrequencyFactor: low = 1, highFrequencyFactor: high = 4 } = scaling;
    return {
      frequencies: frequencies.map((f) => {
        const rotations = (original * f) / (2 * Math.PI); // within the original length
        const kept = Math.min(Math.max((rotations - low) / (high - low), 0), 1);
        return (1 - kept) * (f / factor) + kept * f;
      }),
      factor: 1,
    };
  }
  const { betaFast = 32, betaSlow = 1, attentionFactor = factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1 } = scaling;
  /** The pair with this number of rotations within the original length. */
  const pairOf = (rotations: number) => (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const first = Math.max(Math.floor(pairOf(betaFast)), 0);
  const last = Math.min(Math.ceil(pairOf(betaSlow)), dim - 1);
  return {
    frequencies: frequencies.map((f, k) => {
      const stretched = Math.min(Math.max((k - first) / Math.max(last - first, 0.001), 0), 1);
      return (1 - stretched) * f + stretched * (f / factor);
    }),
    factor: attentionFactor,
  };
}
