/** What files beside config.json say of an opened model: where texts end, and how they become one vector. */
import { isObject } from "../base/kinds.js";
import { show } from "../base/checks.js";
import { fileError } from "../files/place.js";
import type { ModelFiles } from "../files/types.js";

export type Pooling = "mean" | "first" | "last";

/** How `embed` makes a vector of a text, unless it is told. */
export interface Embedding {
  readonly pooling: Pooling;
  readonly normalize: boolean;
  /** What the files ask for that `embed` does not do. */
  readonly unsupported?: string;
}

export interface ModelSettings {
  /** As `ModelFacts.stopTokens`. */
  readonly stop: readonly number[];
  readonly embedding: Embedding;
}

/** Kinds of pooling by sentence-transformers' names. */
const poolings: Readonly<Record<string, Pooling>> = { cls: "first", mean: "mean", lasttoken: "last" };

const isToken = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** A token, several or none. */
function readStop(file: string, value: unknown): readonly number[] | undefined {
  if (value === undefined || value === null) return undefined;
  const tokens = Array.isArray(value) ? (value as unknown[]) : [value];
  if (!tokens.every(isToken)) throw fileError(file, `eos_token_id: ${show(value)} is not a token`);
  return tokens;
}

/** Of 1_Pooling/config.json: a mode by name, or a flag for each. */
function readPooling(file: string, config: unknown): Pick<Embedding, "unsupported"> & { pooling: Pooling } {
  if (!isObject(config)) throw fileError(file, "it is not an object");
  const flags = Object.keys(config).filter((name) => /^pooling_mode_/.test(name) && config[name] === true);
  const modes =
    typeof config.pooling_mode === "string"
      ? [config.pooling_mode]
      : flags.map((name) => name.replace(/^pooling_mode_(.*?)(_tokens?)?$/, "$1"));
  const pooling = modes.length === 1 ? poolings[modes[0]!] : undefined;
  return pooling === undefined
    ? { pooling: "mean", unsupported: `pooling ${modes.join(" and ") || "of no mode"} (${file})` }
    : { pooling };
}

/** Without modules.json, sentence-transformers takes the mean, and does not normalise. */
async function readEmbedding(files: ModelFiles): Promise<Embedding> {
  const modules = await files.json("modules.json");
  let embedding: Embedding = { pooling: "mean", normalize: false };
  if (modules === undefined) return embedding;
  if (!Array.isArray(modules) || !modules.every(isObject))
    throw fileError("modules.json", "it is not a list of modules");
  for (const { type, path } of modules) {
    const kind = String(type).split(".").at(-1)!;
    if (kind === "Pooling") {
      const file = `${typeof path === "string" && path ? path : "1_Pooling"}/config.json`;
      embedding = { ...embedding, ...readPooling(file, await files.json(file, true)) };
    } else if (kind === "Normalize") embedding = { ...embedding, normalize: true };
    else if (kind !== "Transformer") embedding = { ...embedding, unsupported: `${kind} (modules.json)` };
  }
  return embedding;
}

export async function readSettings(
  files: ModelFiles,
  config: Readonly<Record<string, unknown>>,
): Promise<ModelSettings> {
  const [generation, embedding] = await Promise.all([files.json("generation_config.json"), readEmbedding(files)]);
  const ofGeneration = isObject(generation) ? readStop("generation_config.json", generation.eos_token_id) : undefined;
  const stop = ofGeneration ?? readStop("config.json", config.eos_token_id) ?? [];
  return { stop: Object.freeze(stop), embedding };
}
