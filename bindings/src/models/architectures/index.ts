/** The families of published models, by config.json's model_type. */
import { show } from "../../base/checks.js";
import { HeadwiseError } from "../../base/errors.js";
import { bert, distilbert, roberta } from "./bert.js";
import { clipText, clipVision } from "./clip.js";
import { ConfigFile } from "./config_file.js";
import type { Family } from "./family.js";
import { gemma2, gemma3 } from "./gemma.js";
import { gpt2 } from "./gpt2.js";
import { gptNeo } from "./gpt_neo.js";
import { gptNeox } from "./gpt_neox.js";
import { llama, mistral, phi3, qwen2, qwen3, smollm3 } from "./llama.js";
import { modernbert } from "./modernbert.js";
import { dinov2, vit } from "./vit.js";

const families: Readonly<Record<string, Family>> = {
  bert,
  clip_text_model: clipText,
  clip_vision_model: clipVision,
  dinov2,
  distilbert,
  gemma2,
  gemma3_text: gemma3,
  gpt2,
  gpt_neo: gptNeo,
  gpt_neox: gptNeox,
  llama,
  mistral,
  modernbert,
  phi3,
  qwen2,
  qwen3,
  roberta,
  smollm3,
  vit,
  "xlm-roberta": roberta,
};

/** A family, and the part of config.json that is about it. */
export interface FoundFamily {
  /** The file's model_type; of CLIP that of the tower. */
  readonly name: string;
  readonly family: Family;
  readonly config: ConfigFile;
}

/** Of a file with both towers, the configuration of one as a file of its own would have it. */
function towerOf(values: Record<string, unknown>, tower: "text" | "vision"): Record<string, unknown> {
  const both = new ConfigFile("clip", values);
  const part = both.part(`${tower}_config`);
  both.ignore(["text_config", "vision_config", "text_config_dict", "vision_config_dict"]);
  both.ignore(["logit_scale_init_value", "tie_word_embeddings"]);
  const projection = both.integer("projection_dim", 512);
  both.finish();
  return {
    ...part.values,
    architectures: [`CLIP${tower === "text" ? "Text" : "Vision"}ModelWithProjection`],
    model_type: `clip_${tower}_model`,
    projection_dim: projection,
  };
}

/** Finds the family of a config.json. `tower`: of a model that has two. */
export function familyOf(values: unknown, tower: "text" | "vision" | undefined): FoundFamily {
  const file = new ConfigFile("config.json", values);
  const type = file.values.model_type;
  if (typeof type !== "string") throw new HeadwiseError("invalid-file", "config.json: its model_type is missing");
  if (type === "clip") {
    if (tower === undefined)
      throw new HeadwiseError("invalid-option", 'tower: clip has two, "text" and "vision"; one of them is opened');
    return familyOf(towerOf(file.values, tower), undefined);
  }
  if (tower !== undefined)
    throw new HeadwiseError("invalid-option", `tower: ${type} has only one; expected none, got ${show(tower)}`);
  const family = Object.hasOwn(families, type) ? families[type] : undefined;
  if (family === undefined) {
    const known = [...Object.keys(families), "clip"].sort().join(", ");
    throw new HeadwiseError("unsupported", `model_type ${show(type)} is not supported; there are ${known}`);
  }
  const config = new ConfigFile(type, values);
  const [architecture] = Array.isArray(file.values.architectures) ? (file.values.architectures as unknown[]) : [];
  if (architecture !== undefined && !family.architectures.includes(architecture as string))
    throw config.unsupported("architectures", architecture);
  return { name: type, family, config };
}
