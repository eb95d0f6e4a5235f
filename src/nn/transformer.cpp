#include "nn/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <random>
#include <type_traits>

#include "nn/initialize.hpp"
#include "nn/transformer_workspace.hpp"

namespace headwise {
namespace {

MultiHeadAttentionConfig attention_config(const TransformerConfig& config) {
  const bool bias = config.norm == NormKind::kLayer;
  return {.embed_dim = config.embed_dim,
          .num_heads = config.num_heads,
          .num_kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .value_head_dim = config.head_dim,
          .key_dim = config.embed_dim,
          .value_dim = config.embed_dim,
          .output_dim = config.embed_dim,
          .qkv_bias = bias,
          .out_bias = bias,
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim))),
          .rope_dim = config.positions == Positions::kRotary ? config.rope_dim : 0,
          .rope_base = config.rope_base,
          .rope_interleaved = config.rope_interleaved,
          .alibi = config.positions == Positions::kAlibi};
}

// A linear layer is its own part.
template <class Fn>
void for_each_part(Linear& linear, const Fn& fn) {
  fn(linear);
}
template <class Parts, class Fn>
void for_each_part(Parts& parts, const Fn& fn) {
  parts.visit(fn);
}

// For two parts with parameters of the same shapes.
template <class Part>
void copy_parameters(Part& from, Part& to) {
  constexpr std::size_t kMost = 8;  // a gated feed-forward layer has 6
  Parameter source[kMost] = {};
  std::size_t n = 0;
  const auto note = [&](auto& part) { part.for_each_parameter([&](const Parameter& p) { source[n++] = p; }); };
  const auto copy = [&](auto& part) {
    part.for_each_parameter([&](const Parameter& p) { std::copy_n(source[n++].value, p.count, p.value); });
  };
  for_each_part(from, note);
  n = 0;
  for_each_part(to, copy);
}

}  // namespace

// The forward and the backward pass are in transformer_run.cpp.

Transformer::Transformer() = default;
Transformer::~Transformer() = default;

Status Transformer::create_without_attention(const TransformerConfig& config) {
  config_ = config;
  const std::size_t E = config.embed_dim, F = config.feed_forward_dim, N = config.layers;
  HEADWISE_RETURN_IF_ERROR(embedding_.create(config.vocab_size, config.context_length, E, config.positions));
  layers_.reset(new (std::nothrow) Layer[N]);
  saved_.reset(new (std::nothrow) Saved[N + 1]);
  if (layers_ == nullptr || saved_ == nullptr) return Status::kOutOfMemory;
  for (std::size_t n = 0; n < N; ++n) {
    Layer& layer = layers_[n];
    HEADWISE_RETURN_IF_ERROR(layer.norm1.create(config.norm, config.norm_epsilon, E));
    if (F == 0) continue;
    HEADWISE_RETURN_IF_ERROR(layer.norm2.create(config.norm, config.norm_epsilon, E));
    HEADWISE_RETURN_IF_ERROR(layer.feed_forward.create(E, F, config.activation, config.norm == NormKind::kLayer));
  }
  HEADWISE_RETURN_IF_ERROR(norm_.create(config.norm, config.norm_epsilon, E));
  return config.tie_embeddings ? Status::kOk : head_.create(E, config.vocab_size, false);
}

Status Transformer::create(const TransformerConfig& config) {
  HEADWISE_RETURN_IF_ERROR(create_without_attention(config));
  for (std::size_t n = 0; n < config.layers; ++n) {
    HEADWISE_RETURN_IF_ERROR(layers_[n].attention.create(attention_config(config)));
  }
  return Status::kOk;
}

Status Transformer::create_kept(const TransformerConfig& config, const std::uint32_t* kept,
                                const std::uint32_t* count) {
  HEADWISE_RETURN_IF_ERROR(create_without_attention(config));
  for (std::size_t n = 0; n < config.layers; kept += count[n++]) {
    HEADWISE_RETURN_IF_ERROR(layers_[n].attention.create_kept(attention_config(config), kept, count[n]));
  }
  return Status::kOk;
}

Status Transformer::initialize(Context& context) {
  std::size_t largest = 0;
  for_each_parameter([&](const Parameter& parameter) { largest = std::max(largest, parameter.count); });
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(largest));
  float* scratch = context.arena.take(0);
  std::mt19937 generator(config_.seed);
  embedding_.visit([&](auto& part) {
    if constexpr (std::is_same_v<decltype(part), Linear&>) {
      initialize_normal(scratch, part.inputs() * part.outputs(), generator);
      part.set_weight(scratch);
    } else {
      initialize_normal(part.value(), part.count(), generator);
    }
  });
  const double to_stream = 1.0 / std::sqrt(2.0 * static_cast<double>(std::max<std::size_t>(config_.layers, 1)));
  for (std::size_t n = 0; n < config_.layers; ++n) {
    MultiHeadAttention& attention = layers_[n].attention;
    FeedForward& feed_forward = layers_[n].feed_forward;
    for (std::size_t p = 0; p < MultiHeadAttention::kProjections; ++p) {
      const double gain = p == MultiHeadAttention::kOut ? to_stream : 1.0;
      initialize_uniform(attention.projection(p), generator, scratch, gain);
    }
    if (config_.feed_forward_dim == 0) continue;
    feed_forward.visit([&](Linear& linear) {
      initialize_uniform(linear, generator, scratch, &linear == &feed_forward.down() ? to_stream : 1.0);
    });
  }
  if (!config_.tie_embeddings) initialize_uniform(head_, generator, scratch);
  return Status::kOk;
}

Status Transformer::keep_heads(const std::uint32_t* kept, const std::uint32_t* count, Transformer& smaller,
                               Context& context) {
  HEADWISE_RETURN_IF_ERROR(smaller.create_without_attention(config_));
  copy_parameters(embedding_, smaller.embedding_);
  copy_parameters(norm_, smaller.norm_);
  copy_parameters(head_, smaller.head_);
  for (std::size_t n = 0; n < config_.layers; ++n) {
    Layer &from = layers_[n], &to = smaller.layers_[n];
    HEADWISE_RETURN_IF_ERROR(from.attention.keep_heads(kept, count[n], to.attention, context));
    kept += count[n];
    copy_parameters(from.norm1, to.norm1);
    if (config_.feed_forward_dim == 0) continue;
    copy_parameters(from.norm2, to.norm2);
    copy_parameters(from.feed_forward, to.feed_forward);
  }
  return Status::kOk;
}

Status Transformer::start_sequence(Sequence& sequence) {
  sequence.caches.reset(new (std::nothrow) KvCache[config_.layers]);
  if (sequence.caches == nullptr) return Status::kOutOfMemory;
  for (std::size_t n = 0; n < config_.layers; ++n) {
    const MultiHeadAttentionConfig& config = layers_[n].attention.config();
    HEADWISE_RETURN_IF_ERROR(
        sequence.caches[n].create(1, config.num_kv_heads, 0, config.head_dim, config.value_head_dim));
  }
  return Status::kOk;
}

// Capacities double, so that all growth together copies each token about once.
Status Transformer::make_room(Sequence& sequence, std::size_t tokens) {
  for (std::size_t n = 0; n < config_.layers; ++n) {
    KvCache& cache = sequence.caches[n];
    if (tokens <= cache.capacity()) continue;
    const std::size_t capacity = std::max(tokens, std::min(2 * cache.capacity(), config_.context_length));
    HEADWISE_RETURN_IF_ERROR(cache.grow(capacity, static_cast<std::size_t>(sequence.length)));
  }
  return Status::kOk;
}

Status Transformer::enable_gradients() {
  Status status = Status::kOk;
  visit([&](auto& part) {
    if (status == Status::kOk) status = part.enable_gradients();
  });
  for (std::size_t n = 0; n < config_.layers && status == Status::kOk; ++n) {
    status = layers_[n].attention.enable_gradients();  // of the gates too
  }
  return status;
}

void Transformer::release_buffers() {
  activations_.release();
  for (std::size_t n = 0; n < config_.layers; ++n) layers_[n].tape.memory.release();
}

void Transformer::zero_gradients() noexcept {
  visit([](auto& part) { part.zero_gradients(); });
  for (std::size_t n = 0; n < config_.layers; ++n) layers_[n].attention.zero_gradients();
}

}  // namespace headwise
