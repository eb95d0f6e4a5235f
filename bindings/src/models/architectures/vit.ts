/** Vision transformers: ViT (Dosovitskiy et al. 2021) and DINOv2 (Oquab et al. 2023). */
import { classifierOf } from "./bert.js";
import { activations, type Family } from "./family.js";
import type { ConfigFile } from "./config_file.js";
import { convolution, factorsOf, unsqueezed } from "./forms.js";

/** Images as sequences of patches. */
export function patchesOf(file: ConfigFile, options: { bias: boolean }, sizes?: { patch: number; image: number }) {
  file.ignore(["tie_word_embeddings"]); // there are no words
  const size = file.integer("patch_size", sizes?.patch);
  const side = Math.floor(file.integer("image_size", sizes?.image) / size);
  return {
    vocabSize: 0,
    patches: {
      channels: file.integer("num_channels", 3),
      size,
      grid: [side, side] as const,
      classToken: true,
      ...options,
    },
    causal: false,
    head: false,
  };
}

function vitConfig(file: ConfigFile) {
  return {
    ...patchesOf(file, { bias: true }),
    layers: file.layers("num_hidden_layers"),
    embedDim: file.integer("hidden_size"),
    numHeads: file.integer("num_attention_heads"),
    activation: file.choice("hidden_act", activations, "gelu"),
    bias: { qkv: file.boolean("qkv_bias", true), out: true, feedForward: true },
  };
}

const embeddings = {
  "embeddings.cls_token": unsqueezed("embedding.class", 2),
  "embeddings.position_embeddings": unsqueezed("positions.weight", 1),
  "embeddings.patch_embeddings.projection": convolution("embedding.patch"),
};

const attention = {
  "encoder.layer.N.attention.attention.query": "layers.N.attention.q_proj",
  "encoder.layer.N.attention.attention.key": "layers.N.attention.k_proj",
  "encoder.layer.N.attention.attention.value": "layers.N.attention.v_proj",
  "encoder.layer.N.attention.output.dense": "layers.N.attention.out_proj",
};

export const vit: Family = {
  architectures: ["ViTModel", "ViTForImageClassification"],
  prefix: "vit.",
  prunes: true,
  config(file, tensors) {
    const config = vitConfig(file);
    file.only("pooler_act", "tanh");
    file.only("pooler_output_size", config.embedDim);
    file.ignore(["encoder_stride"]); // of training with masked patches
    const hasPooler = tensors.has("pooler.dense.weight");
    return {
      ...config,
      feedForwardDim: file.integer("intermediate_size"),
      normEpsilon: file.number("layer_norm_eps", 1e-12),
      ...((hasPooler || tensors.has("classifier.weight")) && {
        pooler: hasPooler ? ("tanh" as const) : ("row" as const),
      }),
      ...classifierOf(file, tensors, "classifier"),
    };
  },
  tensors: {
    ...embeddings,
    ...attention,
    "encoder.layer.N.layernorm_before": "layers.N.norm1",
    "encoder.layer.N.layernorm_after": "layers.N.norm2",
    "encoder.layer.N.intermediate.dense": "layers.N.feed_forward.up",
    "encoder.layer.N.output.dense": "layers.N.feed_forward.down",
    layernorm: "norm",
    "pooler.dense": "pooler.dense",
  },
  heads: { classifier: "classifier" },
};

export const dinov2: Family = {
  architectures: ["Dinov2Model"],
  prefix: "dinov2.",
  prunes: true,
  config(file) {
    const config = vitConfig(file);
    file.only("use_swiglu_ffn", false);
    file.ignore(
      `apply_layernorm layerscale_value out_features out_indices reshape_hidden_states stage_names
       use_mask_token`.split(/\s+/),
    );
    return {
      ...config,
      feedForwardDim: Math.floor(config.embedDim * file.number("mlp_ratio", 4)),
      normEpsilon: file.number("layer_norm_eps", 1e-6),
      pooler: "row",
    };
  },
  tensors: {
    ...embeddings,
    ...attention,
    "encoder.layer.N.norm1": "layers.N.norm1",
    "encoder.layer.N.norm2": "layers.N.norm2",
    "encoder.layer.N.mlp.fc1": "layers.N.feed_forward.up",
    "encoder.layer.N.mlp.fc2": "layers.N.feed_forward.down",
    "encoder.layer.N.layer_scale1.lambda1": factorsOf("layers.N.attention.out_proj.{weight,bias}"),
    "encoder.layer.N.layer_scale2.lambda1": factorsOf("layers.N.feed_forward.down.{weight,bias}"),
    layernorm: "norm",
  },
  others: /^embeddings\.mask_token$/,
};
