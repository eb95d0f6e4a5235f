/** Gemma 2 and 3, text alone (Gemma Team 2024, 2025). Their norms multiply by 1 + w. */
import { activations, type Family } from "./family.js";
import type { ConfigFile } from "./config_file.js";
import { onePlus } from "./forms.js";
import { llama, llamaConfig } from "./llama.js";
import { layerTypes, readRope } from "./rope.js";

/** Which layers have windows, of a file that may tell it by a rule alone. */
function slides(file: ConfigFile, layers: number, rule: (n: number) => boolean): boolean[] {
  const types = file.list("layer_types", layers, layerTypes);
  return Array.from({ length: layers }, (_, n) => (types ? types[n] === "sliding_attention" : rule(n)));
}

function gemmaConfig(file: ConfigFile, has: (name: string) => boolean) {
  const config = llamaConfig(file, has, { tied: true });
  file.only("attention_bias", false);
  const headDim = file.integer("head_dim", 256);
  const activation = file.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  file.ignore(["hidden_act"]); // of a file that has both, the other counts
  return {
    ...config,
    headDim,
    activation: file.choice(activation, activations, "gelu_pytorch_tanh"),
    normPlacement: "both" as const,
    embeddingScale: Math.sqrt(config.embedDim),
    scale: file.number("query_pre_attn_scalar", 256) ** -0.5,
    softcap: file.has("attn_logit_softcapping") ? file.number("attn_logit_softcapping") : 0,
    logitSoftcap: file.has("final_logit_softcapping") ? file.number("final_logit_softcapping") : 0,
  };
}

const tensors = {
  ...llama.tensors,
  "layers.N.input_layernorm": onePlus("layers.N.norm1"),
  "layers.N.self_attn.q_norm": onePlus("layers.N.attention.q_norm"),
  "layers.N.self_attn.k_norm": onePlus("layers.N.attention.k_norm"),
  "layers.N.post_attention_layernorm": onePlus("layers.N.norm1_after"),
  "layers.N.pre_feedforward_layernorm": onePlus("layers.N.norm2"),
  "layers.N.post_feedforward_layernorm": onePlus("layers.N.norm2_after"),
  norm: onePlus("norm"),
};

/** Odd layers see everything. */
export const gemma2: Family = {
  ...llama,
  architectures: ["Gemma2ForCausalLM", "Gemma2Model"],
  config(file, { has }) {
    const config = gemmaConfig(file, has);
    const window = { left: file.integer("sliding_window", 4096) - 1 };
    const even = slides(file, config.layers, (n) => n % 2 === 0);
    return {
      ...config,
      rope: readRope(file, config.headDim),
      layerOptions: even.map((slides) => (slides ? { window } : {})),
    };
  },
  tensors,
};

/** Every sixth layer sees everything, and has a rotary embedding of its own. */
export const gemma3: Family = {
  ...llama,
  architectures: ["Gemma3ForCausalLM", "Gemma3TextModel"],
  config(file, { has }) {
    const config = gemmaConfig(file, has);
    file.only("attn_logit_softcapping", undefined); // transformers has the option, and does not apply it
    const window = { left: file.integer("sliding_window", 4096) - 1 };
    const pattern = file.integer("sliding_window_pattern", file.integer("_sliding_window_pattern", 6));
    const local = { base: "rope_local_base_freq", scaled: false };
    const rope = readRope(file, config.headDim, local, "sliding_attention");
    return {
      ...config,
      queryKeyNorm: true,
      rope: readRope(file, config.headDim, { defaultBase: 1000000 }, "full_attention"),
      layerOptions: slides(file, config.layers, (n) => (n + 1) % pattern !== 0).map((slides) =>
        slides ? { window, rope } : {},
      ),
    };
  },
  tensors,
};
