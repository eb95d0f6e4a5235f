/** GPT-Neo (Black et al. 2021): GPT-2 with windows in some layers, and scores that are not scaled. */
import { activations, type Family } from "./family.js";
import type { ConfigFile } from "./config_file.js";
import { isObject } from "../../base/kinds.js";

/** [[["global", "local"], 2]] is global, local, global, local. */
function layersOf(file: ConfigFile, layers: number): readonly string[] {
  const listed = file.list("attention_layers", layers, ["global", "local"]);
  const types = file.values.attention_types;
  file.ignore(["attention_types"]);
  if (listed !== undefined) return listed;
  const isRepeated = (entry: unknown): entry is [string[], number] =>
    Array.isArray(entry) &&
    Array.isArray(entry[0]) &&
    Number.isSafeInteger(entry[1]) &&
    entry[1] > 0 &&
    entry[1] <= layers;
  const all =
    isObject(types) && Array.isArray(types) && types.every(isRepeated)
      ? types.flatMap(([kinds, times]) => Array<string[]>(times).fill(kinds).flat())
      : [];
  if (all.length !== layers || all.some((kind) => kind !== "global" && kind !== "local"))
    throw file.unsupported("attention_types", types);
  return all;
}

export const gptNeo: Family = {
  architectures: ["GPTNeoForCausalLM", "GPTNeoModel"],
  prefix: "transformer.",
  positionsOption: "max_position_embeddings",
  config(file) {
    const embedDim = file.integer("hidden_size");
    const layers = file.layers("num_layers");
    const window = { left: file.integer("window_size", 256) - 1 };
    file.only("tie_word_embeddings", true);
    return {
      vocabSize: file.integer("vocab_size"),
      contextLength: file.integer("max_position_embeddings"),
      layers,
      embedDim,
      numHeads: file.integer("num_heads"),
      feedForwardDim: file.integer("intermediate_size", 4 * embedDim),
      normEpsilon: file.number("layer_norm_epsilon", 1e-5),
      activation: file.choice("activation_function", activations, "gelu_new"),
      bias: { qkv: false, out: true, feedForward: true },
      scale: 1,
      layerOptions: layersOf(file, layers).map((kind) => (kind === "local" ? { window } : {})),
    };
  },
  tensors: {
    wte: "embedding",
    wpe: "positions",
    "h.N.ln_1": "layers.N.norm1",
    "h.N.attn.attention.q_proj": "layers.N.attention.q_proj",
    "h.N.attn.attention.k_proj": "layers.N.attention.k_proj",
    "h.N.attn.attention.v_proj": "layers.N.attention.v_proj",
    "h.N.attn.attention.out_proj": "layers.N.attention.out_proj",
    "h.N.ln_2": "layers.N.norm2",
    "h.N.mlp.c_fc": "layers.N.feed_forward.up",
    "h.N.mlp.c_proj": "layers.N.feed_forward.down",
    ln_f: "norm",
  },
  heads: { lm_head: "head" },
  others: /^h\.\d+\.attn\.attention\.(masked_)?bias$/,
};
