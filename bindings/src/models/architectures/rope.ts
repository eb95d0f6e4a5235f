/** The rotary embedding of a config.json, in the spelling of transformers 4 or 5. */
import type { RopeConfig } from "../../attention/types.js";
import type { TransformerConfig } from "../../transformer/types.js";
import type { ConfigFile } from "./config_file.js";

export const layerTypes = ["full_attention", "sliding_attention"] as const;

/** Where transformers 4 had what rope_parameters has now. */
interface OldNames {
  readonly base?: string;
  readonly part?: string;
  /** Default of a file that says nothing. */
  readonly defaultBase?: number;
  readonly defaultPart?: number;
  /** Whether rope_scaling applies: of layers with another base it does not. */
  readonly scaled?: boolean;
}

/** transformers' names. */
const kinds = { default: "none", linear: "linear", dynamic: "dynamic", yarn: "yarn", llama3: "llama3" } as const;

/** @param layerType of these layers, where rope_parameters has an object for each type */
export function readRope(
  config: ConfigFile,
  headDim: number,
  {
    base = "rope_theta",
    part = "partial_rotary_factor",
    defaultBase = 10000,
    defaultPart = 1,
    scaled = true,
  }: OldNames = {},
  layerType?: string,
): RopeConfig {
  const isNew = config.has("rope_parameters");
  const all = isNew ? config.part("rope_parameters") : undefined;
  const isNested = layerType !== undefined && all?.has(layerType) === true;
  if (isNested) {
    all!.ignore(layerTypes);
    all!.finish();
  }
  const given = isNested ? all!.part(layerType) : all;
  const theta = given?.number("rope_theta", defaultBase) ?? config.number(base, defaultBase);
  const share = given?.number("partial_rotary_factor", defaultPart) ?? config.number(part, defaultPart);
  const hasScaling = !isNew && config.has("rope_scaling"); // beside rope_parameters it is refused
  const scaling = given ?? (hasScaling && scaled ? config.part("rope_scaling") : undefined);
  const result = {
    base: theta,
    dim: Math.floor(headDim * share),
    ...(scaling && readScaling(scaling, config)),
  };
  scaling?.finish();
  return result;
}

function readScaling(rope: ConfigFile, config: ConfigFile): Pick<RopeConfig, "scaling"> {
  const type = rope.choice(rope.has("rope_type") || !rope.has("type") ? "rope_type" : "type", kinds, "default");
  rope.ignore(["type"]); // beside rope_type it says the same
  if (type === "none") return {};
  const factor = rope.number("factor");
  if (type === "linear") return { scaling: { type, factor } };
  const original = () => rope.integer("original_max_position_embeddings", config.integer("max_position_embeddings"));
  if (type === "dynamic") {
    const originalLength = config.integer("max_position_embeddings"); // that of transformers, whatever else the file names
    rope.only("original_max_position_embeddings", originalLength);
    return { scaling: { type, factor, originalLength } };
  }
  if (type === "llama3") {
    const [lowFrequencyFactor, highFrequencyFactor] = [rope.number("low_freq_factor"), rope.number("high_freq_factor")];
    return { scaling: { type, factor, lowFrequencyFactor, highFrequencyFactor, originalLength: original() } };
  }
  return {
    scaling: {
      type,
      factor,
      originalLength: original(),
      betaFast: rope.number("beta_fast", 32),
      betaSlow: rope.number("beta_slow", 1),
      ...(rope.has("attention_factor") && { attentionFactor: rope.number("attention_factor") }),
    },
  };
}

/** Dynamic frequencies are for texts longer than max_position_embeddings: up to `factor` times. */
export function withLongTexts(config: TransformerConfig): TransformerConfig {
  const { type, factor } = config.rope?.scaling ?? {};
  return type === "dynamic" ? { ...config, contextLength: Math.floor(factor! * config.contextLength!) } : config;
}
