/** Llama (Touvron et al. 2023) and the families that differ from it in a line or two. */
import { activations, usualSizes, type Family } from "./family.js";
import type { ConfigFile } from "./config_file.js";
import { plain } from "./forms.js";
import { readRope } from "./rope.js";
import type { TransformerConfig } from "../../transformer/types.js";

/** What all of them share. `tied`: default of tie_word_embeddings. */
export function llamaConfig(file: ConfigFile, has: (name: string) => boolean, { tied = false, epsilon = 1e-6 } = {}) {
  const sizes = usualSizes(file);
  const tieEmbeddings = file.boolean("tie_word_embeddings", tied);
  const headDim = file.integer("head_dim", sizes.embedDim / sizes.numHeads);
  return {
    ...sizes,
    vocabSize: file.integer("vocab_size"),
    contextLength: file.integer("max_position_embeddings"),
    numKvHeads: file.integer("num_key_value_heads", sizes.numHeads),
    headDim,
    norm: "rms",
    normEpsilon: file.number("rms_norm_eps", epsilon),
    gated: true,
    positions: "rotary",
    tieEmbeddings,
    head: tieEmbeddings || has("lm_head.weight"),
  } satisfies TransformerConfig;
}

const activation = (file: ConfigFile) => file.choice("hidden_act", activations, "silu");

/** Sliding windows that are in the file but off. */
function noWindows(file: ConfigFile, layers: number): void {
  const uses = file.boolean("use_sliding_window", false);
  if (uses) throw file.unsupported("use_sliding_window with max_window_layers", uses);
  file.list("layer_types", layers, ["full_attention"]);
  file.ignore(["sliding_window", "max_window_layers"]);
}

/** A window of so many keys, the query's own among them, in every layer. */
const windows = (keys: number | undefined, layers: number) =>
  keys === undefined ? {} : { layerOptions: Array.from({ length: layers }, () => ({ window: { left: keys - 1 } })) };

const shared = {
  prefix: "model.",
  groupsOption: "num_key_value_heads",
  others: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/,
};

const body = {
  embed_tokens: "embedding",
  "layers.N.input_layernorm": "layers.N.norm1",
  "layers.N.self_attn.q_proj": "layers.N.attention.q_proj",
  "layers.N.self_attn.k_proj": "layers.N.attention.k_proj",
  "layers.N.self_attn.v_proj": "layers.N.attention.v_proj",
  "layers.N.self_attn.o_proj": "layers.N.attention.out_proj",
  "layers.N.self_attn.q_norm": "layers.N.attention.q_norm",
  "layers.N.self_attn.k_norm": "layers.N.attention.k_norm",
  "layers.N.post_attention_layernorm": "layers.N.norm2",
  "layers.N.mlp.gate_proj": "layers.N.feed_forward.gate",
  "layers.N.mlp.up_proj": "layers.N.feed_forward.up",
  "layers.N.mlp.down_proj": "layers.N.feed_forward.down",
  norm: "norm",
};

export const llama: Family = {
  ...shared,
  architectures: ["LlamaForCausalLM", "LlamaModel"],
  config(file, { has }) {
    const config = llamaConfig(file, has);
    file.only("rope_interleaved", false);
    const bias = file.boolean("attention_bias", false);
    return {
      ...config,
      activation: activation(file),
      rope: readRope(file, config.headDim),
      bias: { qkv: bias, out: bias, feedForward: file.boolean("mlp_bias", false) },
    };
  },
  tensors: body,
  heads: { lm_head: "head" },
};

export const mistral: Family = {
  ...llama,
  architectures: ["MistralForCausalLM", "MistralModel"],
  config(file, { has }) {
    const config = llamaConfig(file, has);
    const isNone = file.values.sliding_window === null;
    return {
      ...config,
      activation: activation(file),
      rope: readRope(file, config.headDim),
      ...windows(isNone ? undefined : file.integer("sliding_window", 4096), config.layers),
    };
  },
};

export const qwen2: Family = {
  ...llama,
  architectures: ["Qwen2ForCausalLM", "Qwen2Model"],
  config(file, { has }) {
    const config = llamaConfig(file, has);
    noWindows(file, config.layers);
    file.only("use_mrope", false);
    return {
      ...config,
      activation: activation(file),
      rope: readRope(file, config.headDim),
      bias: { qkv: true, out: false, feedForward: false },
    };
  },
};

export const qwen3: Family = {
  ...llama,
  architectures: ["Qwen3ForCausalLM", "Qwen3Model"],
  config(file, { has }) {
    const config = llamaConfig(file, has);
    noWindows(file, config.layers);
    const bias = file.boolean("attention_bias", false);
    return {
      ...config,
      headDim: file.integer("head_dim", 128),
      activation: activation(file),
      rope: readRope(file, file.integer("head_dim", 128)),
      queryKeyNorm: true,
      bias: { qkv: bias, out: bias, feedForward: false },
    };
  },
};

export const smollm3: Family = {
  ...llama,
  architectures: ["SmolLM3ForCausalLM", "SmolLM3Model"],
  config(file, { has }) {
    const config = llamaConfig(file, has, { tied: true });
    noWindows(file, config.layers);
    const bias = file.boolean("attention_bias", false);
    const interval = file.integer("no_rope_layer_interval", 4);
    const rotates = file.list("no_rope_layers", config.layers, [0, 1]); // 1 where a layer has rotary embedding
    return {
      ...config,
      activation: activation(file),
      rope: readRope(file, config.headDim, { defaultBase: 2000000 }),
      bias: { qkv: bias, out: bias, feedForward: file.boolean("mlp_bias", false) },
      layerOptions: Array.from({ length: config.layers }, (_, n) =>
        (rotates ? rotates[n] === 1 : (n + 1) % interval !== 0) ? {} : { rope: false as const },
      ),
    };
  },
};

export const phi3: Family = {
  ...shared,
  architectures: ["Phi3ForCausalLM", "Phi3Model"],
  config(file, { has }) {
    const config = llamaConfig(file, has, { epsilon: 1e-5 });
    file.only("attention_bias", false);
    file.ignore(["original_max_position_embeddings"]); // of scaled rotary embeddings
    const rope = readRope(file, config.headDim);
    if (rope.scaling !== undefined) throw file.unsupported("rope_type", rope.scaling.type);
    return {
      ...config,
      activation: activation(file),
      rope,
      ...windows(file.has("sliding_window") ? file.integer("sliding_window") : undefined, config.layers),
    };
  },
  tensors: {
    embed_tokens: "embedding",
    "layers.N.input_layernorm": "layers.N.norm1",
    "layers.N.self_attn.qkv_proj": plain("layers.N.attention.{q,k,v}_proj"),
    "layers.N.self_attn.o_proj": "layers.N.attention.out_proj",
    "layers.N.post_attention_layernorm": "layers.N.norm2",
    "layers.N.mlp.gate_up_proj": plain("layers.N.feed_forward.{gate,up}"),
    "layers.N.mlp.down_proj": "layers.N.feed_forward.down",
    norm: "norm",
  },
  heads: { lm_head: "head" },
};
