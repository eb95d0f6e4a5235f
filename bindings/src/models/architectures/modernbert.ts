/** ModernBERT (Warner et al. 2024). */
import { labelsOf } from "./config_file.js";
import { activations, usualSizes, type Family } from "./family.js";
import { plain } from "./forms.js";
import { layerTypes, readRope } from "./rope.js";

export const modernbert: Family = {
  architectures: ["ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"],
  prefix: "model.",
  config(file, { has }) {
    const sizes = usualSizes(file);
    const headDim = sizes.embedDim / sizes.numHeads;
    const half = Math.floor(file.integer("local_attention", 128) / 2);
    const every = file.integer("global_attn_every_n_layers", 3);
    const types = file.list("layer_types", sizes.layers, layerTypes);
    const local = readRope(file, headDim, { base: "local_rope_theta" }, "sliding_attention");
    const window = { left: half, right: half };
    const attentionBias = file.boolean("attention_bias", false);
    const classifies = has("classifier.weight");
    const hasHead = has("head.dense.weight") && !classifies;
    const activation = file.choice("hidden_activation", activations, "gelu");
    if (file.choice("classifier_activation", activations, "gelu") !== activation && (hasHead || classifies))
      throw file.unsupported("classifier_activation", file.values.classifier_activation);
    file.only("classifier_bias", false);
    file.ignore(
      `deterministic_flash_attn layer_norm_eps position_embedding_type reference_compile repad_logits_with_grad
       sparse_prediction sparse_pred_ignore_index`.split(/\s+/),
    );
    if (classifies) file.only("classifier_pooling", "cls");
    else file.ignore(["classifier_pooling"]);
    const tied = file.boolean("tie_word_embeddings", true);
    const headBias = file.boolean("decoder_bias", true);
    return {
      ...sizes,
      vocabSize: file.integer("vocab_size"),
      contextLength: file.integer("max_position_embeddings"),
      causal: false,
      normEpsilon: file.number("norm_eps", 1e-5),
      normBias: file.boolean("norm_bias", false),
      embeddingNorm: true,
      bias: { qkv: attentionBias, out: attentionBias, feedForward: file.boolean("mlp_bias", false), readout: false },
      activation,
      gated: true,
      positions: "rotary",
      rope: readRope(file, headDim, { base: "global_rope_theta", defaultBase: 160000 }, "full_attention"),
      layerOptions: Array.from({ length: sizes.layers }, (_, n) => ({
        ...((types ? types[n] === "sliding_attention" : n % every !== 0) && { window, rope: local }),
        ...(n === 0 && { norm1: false as const }),
      })),
      head: hasHead,
      ...(hasHead && { headTransform: true, headBias, tieEmbeddings: tied }),
      ...(classifies && { labels: labelsOf(file).length, pooler: "transform" as const }),
    };
  },
  tensors: {
    "embeddings.tok_embeddings": "embedding",
    "embeddings.norm": "embedding_norm",
    "layers.N.attn_norm": "layers.N.norm1",
    "layers.N.attn.Wqkv": plain("layers.N.attention.{q,k,v}_proj"),
    "layers.N.attn.Wo": "layers.N.attention.out_proj",
    "layers.N.mlp_norm": "layers.N.norm2",
    "layers.N.mlp.Wi": plain("layers.N.feed_forward.{gate,up}"),
    "layers.N.mlp.Wo": "layers.N.feed_forward.down",
    final_norm: "norm",
  },
  // With the same names: of a masked language model, or of a classifier.
  heads: [
    { "head.dense": "head_transform.dense", "head.norm": "head_transform.norm", decoder: "head" },
    { "head.dense": "pooler.dense", "head.norm": "pooler.norm", classifier: "classifier" },
  ],
};
