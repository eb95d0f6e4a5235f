#include "nn/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <random>
#include <type_traits>

#include "nn/initialize.hpp"

namespace headwise {

Transformer::Transformer() = default;
Transformer::~Transformer() = default;

Status Transformer::create_without_attention(const TransformerConfig& config) {
  const std::size_t N = config.layers;
  blocks_.reset(new (std::nothrow) Block[N]);
  saved_.reset(new (std::nothrow) Block::Saved[N]);
  layer_configs_.reset(new (std::nothrow) LayerConfig[N]);
  if (blocks_ == nullptr || saved_ == nullptr || layer_configs_ == nullptr) return Status::kOutOfMemory;
  std::copy_n(config.layer_configs, N, layer_configs_.get());
  config_ = config;
  config_.layer_configs = layer_configs_.get();
  HEADWISE_RETURN_IF_ERROR(embedding_.create(config));
  for (std::size_t n = 0; n < N; ++n) HEADWISE_RETURN_IF_ERROR(blocks_[n].create(config, layer_configs_[n]));
  if (config.final_norm) HEADWISE_RETURN_IF_ERROR(norm_.create(config.norm, config.embed_dim));
  HEADWISE_RETURN_IF_ERROR(head_.create(config));
  return pooler_.create(config);
}

Status Transformer::create(const TransformerConfig& config) {
  HEADWISE_RETURN_IF_ERROR(create_without_attention(config));
  for (std::size_t n = 0; n < config.layers; ++n) {
    HEADWISE_RETURN_IF_ERROR(blocks_[n].attention.create(blocks_[n].attention_config()));
  }
  return Status::kOk;
}

Status Transformer::create_kept(const TransformerConfig& config, const std::uint32_t* kept,
                                const std::uint32_t* count) {
  HEADWISE_RETURN_IF_ERROR(create_without_attention(config));
  for (std::size_t n = 0; n < config.layers; kept += count[n++]) {
    HEADWISE_RETURN_IF_ERROR(blocks_[n].attention.create_kept(blocks_[n].attention_config(), kept, count[n]));
  }
  return Status::kOk;
}

Status Transformer::initialize(Context& context) {
  std::size_t largest = 0;
  for_each_parameter([&](const Parameter& parameter) { largest = std::max(largest, parameter.count); });
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(largest));
  float* scratch = context.arena.take(largest);
  std::mt19937 generator(config_.seed);
  const auto uniform = [&](Linear& linear, double gain) { initialize_uniform(linear, generator, scratch, gain); };
  embedding_.initialize(scratch, generator);
  const double to_stream = 1.0 / std::sqrt(2.0 * static_cast<double>(std::max<std::size_t>(config_.layers, 1)));
  const auto initialize_part = [&](auto& part, const Linear* last) {  // `last` writes to the stream
    part.visit([&](auto& weights) {
      if constexpr (std::is_same_v<decltype(weights), Linear&>) uniform(weights, &weights == last ? to_stream : 1.0);
    });
  };
  for (std::size_t n = 0; n < config_.layers; ++n) {
    Block& block = blocks_[n];
    initialize_part(block.attention, &block.attention.projection(MultiHeadAttention::kOut));
    if (config_.feed_forward_dim > 0) initialize_part(block.feed_forward, &block.feed_forward.down());
  }
  initialize_part(head_, nullptr);
  initialize_part(pooler_, nullptr);
  return Status::kOk;
}

Status Transformer::keep_heads(const std::uint32_t* kept, const std::uint32_t* count, Transformer& smaller) {
  HEADWISE_RETURN_IF_ERROR(smaller.create_without_attention(config_));
  copy_parameters(embedding_, smaller.embedding_);
  copy_parameters(norm_, smaller.norm_);
  copy_parameters(head_, smaller.head_);
  copy_parameters(pooler_, smaller.pooler_);
  for (std::size_t n = 0; n < config_.layers; ++n) {
    HEADWISE_RETURN_IF_ERROR(blocks_[n].attention.keep_heads(kept, count[n], smaller.blocks_[n].attention));
    smaller.blocks_[n].copy_parameters(blocks_[n]);
    kept += count[n];
  }
  return Status::kOk;
}

Status Transformer::start_sequence(Sequence& sequence) {
  sequence.caches.reset(new (std::nothrow) KvCache[config_.layers]);
  if (sequence.caches == nullptr) return Status::kOutOfMemory;
  for (std::size_t n = 0; n < config_.layers; ++n) {
    const MultiHeadAttentionConfig& config = blocks_[n].attention.config();
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
  Status status = enable_gate_gradients();
  visit([&](auto& part) {
    if (status == Status::kOk) status = part.enable_gradients();
  });
  return status;
}

Status Transformer::enable_gate_gradients() {
  for (std::size_t n = 0; n < config_.layers; ++n) {
    HEADWISE_RETURN_IF_ERROR(blocks_[n].attention.enable_gate_gradients());
  }
  return Status::kOk;
}

void Transformer::release_buffers() {
  activations_.release();
  for (std::size_t n = 0; n < config_.layers; ++n) blocks_[n].tape.memory.release();
}

void Transformer::zero_gradients() noexcept {
  visit([](auto& part) { part.zero_gradients(); });
  for (std::size_t n = 0; n < config_.layers; ++n) blocks_[n].attention.zero_gate_gradients();
}

}  // namespace headwise
