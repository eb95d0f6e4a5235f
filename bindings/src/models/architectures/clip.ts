/** The two towers of CLIP (Radford et al. 2021). */
import { activations, type Family } from "./family.js";
import type { ConfigFile } from "./config_file.js";
import { convolution } from "./forms.js";
import { patchesOf } from "./vit.js";

/** transformers 4 leaves out what the defaults of a tower say. */
const layersOf = (file: ConfigFile, [embedDim, numHeads, feedForwardDim]: readonly [number, number, number]) => ({
  layers: file.layers("num_hidden_layers", 12),
  embedDim: file.integer("hidden_size", embedDim),
  numHeads: file.integer("num_attention_heads", numHeads),
  feedForwardDim: file.integer("intermediate_size", feedForwardDim),
  normEpsilon: file.number("layer_norm_eps", 1e-5),
  activation: file.choice("hidden_act", activations, "quick_gelu"),
});

const projection = (file: ConfigFile, isThere: boolean) => {
  const projectionDim = file.integer("projection_dim", 512);
  return isThere ? { projectionDim } : {};
};

/** The text's end: the token that the file names; of OpenAI's files, which name another, the largest. */
function endOf(file: ConfigFile) {
  const token = file.integer("eos_token_id", 49407, 0);
  return token === 2 ? ("largest" as const) : { token };
}

const layers = {
  "encoder.layers.N.layer_norm1": "layers.N.norm1",
  "encoder.layers.N.self_attn.q_proj": "layers.N.attention.q_proj",
  "encoder.layers.N.self_attn.k_proj": "layers.N.attention.k_proj",
  "encoder.layers.N.self_attn.v_proj": "layers.N.attention.v_proj",
  "encoder.layers.N.self_attn.out_proj": "layers.N.attention.out_proj",
  "encoder.layers.N.layer_norm2": "layers.N.norm2",
  "encoder.layers.N.mlp.fc1": "layers.N.feed_forward.up",
  "encoder.layers.N.mlp.fc2": "layers.N.feed_forward.down",
};

/** Of both towers' files: the other tower, and what compares them. */
const others = (tower: string, projection: string) =>
  new RegExp(String.raw`^(embeddings\.position_ids|${tower}_model\..*|${projection}_projection\.weight|logit_scale)$`);

export const clipText: Family = {
  architectures: ["CLIPTextModelWithProjection", "CLIPTextModel"],
  prefix: "text_model.",
  positionsOption: "max_position_embeddings",
  config(file, { has }) {
    file.ignore(["tie_word_embeddings"]); // no words come out
    return {
      ...layersOf(file, [512, 8, 2048]),
      vocabSize: file.integer("vocab_size", 49408),
      contextLength: file.integer("max_position_embeddings", 77),
      head: false,
      pooler: "row",
      pooledRow: endOf(file),
      ...projection(file, has("text_projection.weight")),
    };
  },
  tensors: {
    "embeddings.token_embedding": "embedding",
    "embeddings.position_embedding": "positions",
    ...layers,
    final_layer_norm: "norm",
  },
  heads: { text_projection: "projection" },
  others: others("vision", "visual"),
};

export const clipVision: Family = {
  architectures: ["CLIPVisionModelWithProjection", "CLIPVisionModel"],
  prefix: "vision_model.",
  config: (file, { has }) => ({
    ...layersOf(file, [768, 12, 3072]),
    ...patchesOf(file, { bias: false }, { patch: 32, image: 224 }),
    embeddingNorm: true,
    finalNorm: false,
    pooler: "norm",
    ...projection(file, has("visual_projection.weight")),
  }),
  tensors: {
    "embeddings.class_embedding": "embedding.class",
    "embeddings.patch_embedding": convolution("embedding.patch"),
    "embeddings.position_embedding": "positions",
    pre_layrnorm: "embedding_norm",
    ...layers,
    post_layernorm: "pooler.norm",
  },
  heads: { visual_projection: "projection" },
  others: others("text", "text"),
};
