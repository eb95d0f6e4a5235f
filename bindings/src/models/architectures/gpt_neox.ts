/** GPT-NeoX (Black et al. 2022), of which Pythia is. */
import { activations, usualSizes, type Family } from "./family.js";
import { headByHead } from "./forms.js";
import { readRope } from "./rope.js";

export const gptNeox: Family = {
  architectures: ["GPTNeoXForCausalLM", "GPTNeoXModel"],
  prefix: "gpt_neox.",
  config(file, { has }) {
    const sizes = usualSizes(file);
    const tied = file.boolean("tie_word_embeddings", false);
    const rotary = { base: "rotary_emb_base", part: "rotary_pct", defaultPart: 0.25 };
    const bias = file.boolean("attention_bias", true);
    return {
      ...sizes,
      vocabSize: file.integer("vocab_size"),
      contextLength: file.integer("max_position_embeddings"),
      normEpsilon: file.number("layer_norm_eps", 1e-5),
      activation: file.choice("hidden_act", activations, "gelu"),
      normPlacement: file.boolean("use_parallel_residual", true) ? "parallel" : "before",
      bias: { qkv: bias, out: bias, feedForward: true },
      positions: "rotary",
      rope: readRope(file, sizes.embedDim / sizes.numHeads, rotary),
      tieEmbeddings: tied,
      head: tied || has("embed_out.weight"),
    };
  },
  tensors: {
    embed_in: "embedding",
    "layers.N.input_layernorm": "layers.N.norm1",
    "layers.N.attention.query_key_value": headByHead("layers.N.attention.{q,k,v}_proj"),
    "layers.N.attention.dense": "layers.N.attention.out_proj",
    "layers.N.post_attention_layernorm": "layers.N.norm2",
    "layers.N.mlp.dense_h_to_4h": "layers.N.feed_forward.up",
    "layers.N.mlp.dense_4h_to_h": "layers.N.feed_forward.down",
    final_layer_norm: "norm",
  },
  heads: { embed_out: "head" },
  others: /^layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
};
