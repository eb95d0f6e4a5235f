/** BERT (Devlin et al. 2019) and the encoders that are built like it. */
import { activations, usualSizes, type Family, type ModelFile } from "./family.js";
import { labelsOf, type ConfigFile } from "./config_file.js";

/** How many labels a classifier has, where the file has one. */
export const classifierOf = (file: ConfigFile, { has }: ModelFile, classifier: string) =>
  has(`${classifier}.weight`) ? { labels: labelsOf(file).length } : {};

/** A head that predicts masked tokens, where the file has one. */
const maskedHead = (hasHead: boolean) => ({ head: hasHead, ...(hasHead && { headTransform: true, headBias: true }) });

const shared = { normPlacement: "after", embeddingNorm: true, causal: false } as const;

/** Google's names for the pooler that every BERT has; transformers reads none of them. */
const poolerOptions =
  `directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head
  pooler_type`.split(/\s+/);

function bertConfig(file: ConfigFile) {
  file.only("tie_word_embeddings", true);
  file.ignore(poolerOptions);
  return {
    ...usualSizes(file),
    ...shared,
    vocabSize: file.integer("vocab_size"),
    contextLength: file.integer("max_position_embeddings"),
    tokenTypes: file.integer("type_vocab_size", 2),
    normEpsilon: file.number("layer_norm_eps", 1e-12),
    activation: file.choice("hidden_act", activations, "gelu"),
  };
}

const body = {
  "embeddings.word_embeddings": "embedding",
  "embeddings.position_embeddings": "positions",
  "embeddings.token_type_embeddings": "token_types",
  "embeddings.LayerNorm": "embedding_norm",
  "encoder.layer.N.attention.self.query": "layers.N.attention.q_proj",
  "encoder.layer.N.attention.self.key": "layers.N.attention.k_proj",
  "encoder.layer.N.attention.self.value": "layers.N.attention.v_proj",
  "encoder.layer.N.attention.output.dense": "layers.N.attention.out_proj",
  "encoder.layer.N.attention.output.LayerNorm": "layers.N.norm1",
  "encoder.layer.N.intermediate.dense": "layers.N.feed_forward.up",
  "encoder.layer.N.output.dense": "layers.N.feed_forward.down",
  "encoder.layer.N.output.LayerNorm": "layers.N.norm2",
};

export const bert: Family = {
  architectures: ["BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"],
  prefix: "bert.",
  positionsOption: "max_position_embeddings",
  prunes: true,
  config: (file, tensors) => ({
    ...bertConfig(file),
    ...maskedHead(tensors.has("cls.predictions.transform.dense.weight")),
    ...(tensors.has("pooler.dense.weight") && { pooler: "tanh" as const }),
    ...classifierOf(file, tensors, "classifier"),
  }),
  tensors: { ...body, "pooler.dense": "pooler.dense" },
  heads: {
    "cls.predictions.transform.dense": "head_transform.dense",
    "cls.predictions.transform.LayerNorm": "head_transform.norm",
    "cls.predictions.bias": "head.bias",
    "cls.predictions.decoder": "head",
    classifier: "classifier",
  },
  others: /^embeddings\.position_ids$|^cls\.seq_relationship\.(weight|bias)$/, // the second: of pretraining
};

/** RoBERTa (Liu et al. 2019): positions are counted from the tokens, from behind that of padding on. */
export const roberta: Family = {
  ...bert,
  architectures: ["Roberta", "XLMRoberta"].flatMap((name) =>
    ["Model", "ForMaskedLM", "ForSequenceClassification"].map((kind) => name + kind),
  ),
  prefix: "roberta.",
  others: /^embeddings\.position_ids$|^pooler\.dense\.(weight|bias)$/, // the second: beside a classifier, which has its own
  config(file, { has, ...rest }) {
    const hasHead = has("lm_head.dense.weight");
    const config = bertConfig(file);
    if (hasHead && config.activation !== "gelu-erf") throw file.unsupported("hidden_act", file.values.hidden_act);
    return {
      ...config,
      positionsFrom: { padding: file.integer("pad_token_id", 1, 0) },
      ...maskedHead(hasHead),
      ...((has("pooler.dense.weight") || has("classifier.dense.weight")) && { pooler: "tanh" as const }),
      ...classifierOf(file, { has, ...rest }, "classifier.out_proj"),
    };
  },
  heads: {
    "lm_head.dense": "head_transform.dense",
    "lm_head.layer_norm": "head_transform.norm",
    "lm_head.bias": "head.bias",
    "lm_head.decoder": "head",
    "classifier.dense": "pooler.dense",
    "classifier.out_proj": "classifier",
  },
};

/** DistilBERT (Sanh et al. 2019). */
export const distilbert: Family = {
  architectures: ["DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification"],
  prefix: "distilbert.",
  positionsOption: "max_position_embeddings",
  prunes: true,
  config(file, tensors) {
    file.only("tie_word_embeddings", true);
    file.only("tie_weights_", true);
    file.ignore(["sinusoidal_pos_embds"]); // the file has the positions either way
    return {
      ...shared,
      vocabSize: file.integer("vocab_size"),
      contextLength: file.integer("max_position_embeddings", 512),
      layers: file.layers("n_layers"),
      embedDim: file.integer("dim"),
      numHeads: file.integer("n_heads"),
      feedForwardDim: file.integer("hidden_dim"),
      normEpsilon: 1e-12,
      activation: file.choice("activation", activations, "gelu"),
      ...maskedHead(tensors.has("vocab_transform.weight")),
      ...(tensors.has("pre_classifier.weight") && { pooler: "relu" as const }),
      ...classifierOf(file, tensors, "classifier"),
    };
  },
  tensors: {
    "embeddings.word_embeddings": "embedding",
    "embeddings.position_embeddings": "positions",
    "embeddings.LayerNorm": "embedding_norm",
    "transformer.layer.N.attention.q_lin": "layers.N.attention.q_proj",
    "transformer.layer.N.attention.k_lin": "layers.N.attention.k_proj",
    "transformer.layer.N.attention.v_lin": "layers.N.attention.v_proj",
    "transformer.layer.N.attention.out_lin": "layers.N.attention.out_proj",
    "transformer.layer.N.sa_layer_norm": "layers.N.norm1",
    "transformer.layer.N.ffn.lin1": "layers.N.feed_forward.up",
    "transformer.layer.N.ffn.lin2": "layers.N.feed_forward.down",
    "transformer.layer.N.output_layer_norm": "layers.N.norm2",
  },
  heads: {
    vocab_transform: "head_transform.dense",
    vocab_layer_norm: "head_transform.norm",
    vocab_projector: "head",
    pre_classifier: "pooler.dense",
    classifier: "classifier",
  },
  others: /^embeddings\.position_ids$/,
};
