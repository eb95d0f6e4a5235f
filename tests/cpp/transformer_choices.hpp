// Small transformers: every choice of the configuration at least once, and the published families' combinations.
#pragma once

#include <cmath>
#include <string>

#include "naive_transformer.hpp"

namespace headwise::test {

// A configuration, with the layers that it points to.
struct Choice {
  std::string name;
  TransformerConfig config{};
  std::vector<LayerConfig> layers;
  std::vector<double> frequencies;
  std::size_t patches = 0;  // of a sequence, where it reads these

  // GPT-2's: norms before, learned positions, GELU.
  explicit Choice(std::string name_given) : name(std::move(name_given)), layers(2) {
    config.vocab_size = 7, config.context_length = 6, config.layers = 2, config.embed_dim = 8;
    config.num_heads = config.num_kv_heads = 2, config.head_dim = 4, config.feed_forward_dim = 10;
    config.causal = true, config.seed = 3;
    config.norm = {NormKind::kLayer, true, 1e-5f};
    config.norm_before = config.final_norm = true;
    config.qkv_bias = config.out_bias = config.feed_forward_bias = config.readout_bias = true;
    config.activation = Activation::kGelu;
    config.positions = Positions::kLearned;
    config.scale = 0.5f, config.embedding_scale = 1.0f;
    config.head = config.tie_embeddings = true;
    config.pooler_activation = Activation::kTanh;
  }

  // The configuration, pointing to this object's layers.
  const TransformerConfig& get() {
    layers.resize(config.layers);
    if (!frequencies.empty()) layers[0].rotary.frequencies = frequencies.data();
    config.layer_configs = layers.data();
    return config;
  }

  std::size_t rows() const {
    return patches == 0 ? config.context_length : patches + config.register_tokens + (config.class_token ? 1 : 0);
  }
};

inline void use_rms(TransformerConfig& config) {
  config.norm = {NormKind::kRms, false, 1e-6f};
  config.qkv_bias = config.out_bias = config.feed_forward_bias = config.readout_bias = false;
}

inline void use_rotary(Choice& choice, const Rotary& rotary) {
  choice.config.positions = Positions::kRotary;
  choice.layers.resize(choice.config.layers);
  for (LayerConfig& layer : choice.layers) layer.rotary = rotary;
}

inline std::vector<Choice> choices() {
  std::vector<Choice> list;
  const auto add = [&](const char* name, const auto& change) {
    Choice choice(name);
    change(choice, choice.config);
    list.push_back(choice);
  };
  add("gpt2", [](Choice&, TransformerConfig&) {});
  add("bert", [](Choice&, TransformerConfig& c) {
    c.norm_before = c.final_norm = c.causal = false;
    c.norm_after_sum = c.embedding_norm = c.head_transform = c.head_bias = true;
    c.norm.epsilon = 1e-12f;
    c.token_types = 2, c.activation = Activation::kGeluErf;
    c.pooling = Pooling::kDense;
  });
  add("llama", [](Choice& choice, TransformerConfig& c) {
    use_rms(c), use_rotary(choice, {4, 500.0f});
    c.num_heads = 4, c.activation = Activation::kSilu, c.gated = true;
  });
  add("plain norms, ReLU, sinusoidal positions, an own matrix, odd widths", [](Choice&, TransformerConfig& c) {
    c.activation = Activation::kRelu, c.positions = Positions::kSinusoidal, c.tie_embeddings = false;
    c.embed_dim = 9, c.num_heads = c.num_kv_heads = 3, c.head_dim = 3, c.embedding_scale = 3.0f;
  });
  add("attention alone, ALiBi",
      [](Choice&, TransformerConfig& c) { c.positions = Positions::kAlibi, c.feed_forward_dim = 0; });
  add("no positions, not causal",
      [](Choice&, TransformerConfig& c) { c.positions = Positions::kNone, c.causal = false, c.vocab_size = 13; });
  add("dropout",
      [](Choice&, TransformerConfig& c) { c.dropout = 0.3f, c.layers = 1, c.embed_dim = 12, c.head_dim = 6; });
  add("dropout of attention alone, no biases", [](Choice&, TransformerConfig& c) {
    use_rms(c);
    c.dropout = 0.2f, c.feed_forward_dim = 0, c.tie_embeddings = false;
  });
  add("gemma: norms on both sides and of queries and keys, caps, windows, a scaled embedding",
      [](Choice& choice, TransformerConfig& c) {
        use_rms(c), use_rotary(choice, {4, 100.0f});
        c.norm_after = c.query_key_norm = c.gated = true;
        c.num_heads = 4, c.scale = 0.7f, c.softcap = 1.5f, c.logit_softcap = 2.0f, c.embedding_scale = 2.5f;
        choice.layers[0].window.left = 2;
        choice.layers[1].rotary.base = 10000.0f;
      });
  add("norms of outputs alone, dropout",
      [](Choice&, TransformerConfig& c) { c.norm_before = false, c.norm_after = true, c.dropout = 0.25f; });
  add("gpt_neox: in parallel, rotary of a part, dropout", [](Choice& choice, TransformerConfig& c) {
    use_rotary(choice, {2, 10000.0f});
    c.parallel = true, c.tie_embeddings = false, c.activation = Activation::kGeluErf, c.dropout = 0.1f;
  });
  add("gptj: in parallel behind one norm, interleaved rotary", [](Choice& choice, TransformerConfig& c) {
    use_rotary(choice, {4, 10000.0f, true});
    c.parallel = c.shared_norm = c.head_bias = true, c.tie_embeddings = false;
    c.qkv_bias = c.out_bias = false;
  });
  add("modernbert: norms without bias, one left out, windows on both sides", [](Choice& choice, TransformerConfig& c) {
    use_rotary(choice, {4, 160.0f});
    c.norm.bias = c.qkv_bias = c.out_bias = c.feed_forward_bias = c.readout_bias = c.causal = false;
    c.embedding_norm = c.gated = c.head_transform = c.head_bias = true, c.activation = Activation::kGeluErf;
    choice.layers[0].norm1 = false;
    choice.layers[1].window = {1, 1};
    choice.layers[1].rotary.base = 10.0f;
  });
  add("wider than a task of the embedding",
      [](Choice&, TransformerConfig& c) { c.embed_dim = 43, c.layers = 1, c.feed_forward_dim = 0; });
  add("frequencies and a factor, a layer without rotary", [](Choice& choice, TransformerConfig& c) {
    use_rms(c), use_rotary(choice, {4});
    choice.frequencies = {0.9, 0.04};
    choice.layers[0].rotary.factor = 1.25f;
    choice.layers[1].rotary.dim = 0;
  });
  add("vit: patches, class and register tokens, a classifier", [](Choice& choice, TransformerConfig& c) {
    choice.patches = 4, c.vocab_size = 0, c.context_length = 5, c.patch_dim = 6, c.register_tokens = 2;
    c.class_token = c.patch_bias = c.class_bias = true, c.causal = c.head = false;
    c.pooling = Pooling::kRow, c.classes = 3;
  });
  add("clip: patches without bias, a norm of the pooled row, a projection", [](Choice& choice, TransformerConfig& c) {
    choice.patches = 4, c.vocab_size = 0, c.context_length = 5, c.patch_dim = 6;
    c.class_token = c.embedding_norm = true, c.causal = c.head = c.final_norm = false;
    c.activation = Activation::kQuickGelu, c.pooling = Pooling::kNorm, c.classes = 4;
  });
  add("modernbert: a classifier behind a linear layer, GELU and a norm", [](Choice&, TransformerConfig& c) {
    c.norm.bias = c.causal = c.head = c.readout_bias = false;
    c.pooling = Pooling::kDenseNorm, c.pooler_activation = Activation::kGeluErf, c.classes = 3, c.class_bias = true;
  });
  add("a classifier behind a pooler", [](Choice&, TransformerConfig& c) {
    c.norm_before = c.final_norm = c.causal = c.head = false, c.norm_after_sum = true;
    c.pooling = Pooling::kDense, c.pooler_activation = Activation::kRelu, c.classes = 3, c.class_bias = true;
  });
  return list;
}

// B sequences of L rows with everything that the model reads.
inline NaiveBatch random_batch(const Choice& choice, std::size_t B, std::size_t L, std::uint32_t seed) {
  const TransformerConfig& c = choice.config;
  std::mt19937 generator(seed);
  const auto integers = [&](std::size_t count, std::size_t below) {
    Integers values(count);
    for (std::int32_t& value : values) value = static_cast<std::int32_t>(generator() % below);
    return values;
  };
  NaiveBatch batch{B, L};
  if (c.vocab_size > 0) batch.tokens = integers(B * L, c.vocab_size);
  if (c.patch_dim > 0) batch.patches = random_floats(B * choice.patches * c.patch_dim, seed);
  if (c.token_types > 0) batch.token_types = integers(B * L, c.token_types);
  if (c.classes > 0) batch.targets = integers(B, c.classes);
  if (c.classes == 0 && c.head) batch.targets = integers(B * L, c.vocab_size);
  return batch;
}

struct Model {
  Context context;
  Transformer transformer;

  // Biases and norms at random, so that they show.
  explicit Model(const TransformerConfig& config, std::size_t threads = 1) {
    start(context, threads);
    REQUIRE(transformer.create(config) == Status::kOk);
    REQUIRE(transformer.initialize(context) == Status::kOk);
    std::uint32_t seed = 100;
    transformer.for_each_parameter([&](const Parameter& parameter) {
      if (parameter.decay) return;
      const Floats random = random_floats(parameter.count, seed++, 0.3f);
      for (std::size_t n = 0; n < parameter.count; ++n) parameter.value[n] += random[n];
    });
  }
  explicit Model(Choice& choice) : Model(choice.get()) {}

  std::vector<Floats> gradients() {
    std::vector<Floats> list;
    NaiveTransformer<float> shapes(transformer);
    for (std::size_t n = 0; n < shapes.parameters.size(); ++n) {
      list.emplace_back(shapes.parameters[n].size());
      parameter_at(transformer, n).read_gradient(list.back().data());
    }
    return list;
  }
};

}  // namespace headwise::test
