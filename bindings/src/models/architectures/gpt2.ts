/** GPT-2 (Radford et al. 2019). */
import { activations, type Family } from "./family.js";
import { conv1d } from "./forms.js";

export const gpt2: Family = {
  architectures: ["GPT2LMHeadModel", "GPT2Model"],
  prefix: "transformer.",
  positionsOption: "n_positions",
  prunes: true,
  config(file) {
    const embedDim = file.integer("n_embd");
    file.only("scale_attn_weights", true);
    file.only("scale_attn_by_inverse_layer_idx", false);
    file.ignore(["n_ctx", "n_special", "predict_special_tokens"]); // transformers reads none of them
    file.ignore(["reorder_and_upcast_attn"]); // changes precision alone
    file.only("tie_word_embeddings", true);
    return {
      vocabSize: file.integer("vocab_size"),
      contextLength: file.integer("n_positions"),
      layers: file.layers("n_layer"),
      embedDim,
      numHeads: file.integer("n_head"),
      feedForwardDim: file.integer("n_inner", 4 * embedDim),
      normEpsilon: file.number("layer_norm_epsilon", 1e-5),
      activation: file.choice("activation_function", activations, "gelu_new"),
    };
  },
  tensors: {
    wte: "embedding",
    wpe: "positions",
    "h.N.ln_1": "layers.N.norm1",
    "h.N.attn.c_attn": conv1d("layers.N.attention.{q,k,v}_proj"),
    "h.N.attn.c_proj": conv1d("layers.N.attention.out_proj"),
    "h.N.ln_2": "layers.N.norm2",
    "h.N.mlp.c_fc": conv1d("layers.N.feed_forward.up"),
    "h.N.mlp.c_proj": conv1d("layers.N.feed_forward.down"),
    ln_f: "norm",
  },
  heads: { lm_head: "head" },
  others: /^h\.\d+\.attn\.(masked_)?bias$/,
};
