// Multi-head attention with its parameters: project, attend with every head, combine (Vaswani et al. 2017, 3.2.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "attention/rotary.hpp"
#include "attention/scaled_dot_product.hpp"
#include "core/aligned_buffer.hpp"
#include "core/context.hpp"
#include "nn/kv_cache.hpp"
#include "nn/linear.hpp"

namespace headwise {

struct MultiHeadAttentionConfig {
  std::size_t embed_dim;                       // E
  std::size_t num_heads, num_kv_heads;         // H, G
  std::size_t head_dim, value_head_dim;        // D, Dv
  std::size_t key_dim, value_dim, output_dim;  // widths of the key and value inputs and of the output
  bool qkv_bias, out_bias;
  float scale;
  float softcap = 0.0f;      // 0: none
  std::size_t rope_dim = 0;  // 0: no rotary embedding
  float rope_base = 10000.0f;
  bool rope_interleaved = false;
  bool alibi = false;

  Rotary rotary() const { return {rope_dim, rope_base, rope_interleaved}; }
};

enum class HeadOutput : int {
  kNone = 0,
  kValues = 1,         // each head's own output before its gate, [B, H, L, Dv]
  kContributions = 2,  // what it adds to the output: gated, through its slice of the projection, [B, H, L, output_dim]
};

struct ForwardArgs {
  std::size_t B, L, S;
  const float* query;  // [B, L, E]
  const float* key;    // [B, S, key_dim]
  const float* value;  // [B, S, value_dim]
  Visibility visibility;
  // For rotary embedding, [B, L] and [B, S] (with a cache: [B, L]); null: offset + i for queries and j for keys.
  const std::int32_t* query_positions = nullptr;
  const std::int32_t* key_positions = nullptr;
  // Self-attention with earlier tokens: row b has visibility.offsets[b] of them in the cache; the new ones are put
  // behind them, which makes visibility.key_lengths[b]; S is at least the largest of these.
  KvCache* cache = nullptr;
  float* output;             // [B, L, output_dim]
  float* weights = nullptr;  // [B, H, L, S] or null
  WeightsStage stage = WeightsStage::kProbabilities;
  HeadOutput head_output = HeadOutput::kNone;
  float* heads = nullptr;  // as head_output says
};

class MultiHeadAttention {
 public:
  enum Projection : std::size_t { kQuery, kKey, kValue, kOut, kProjections };

  // Weights and biases start as zeros, gates as ones. kv_heads: [H], the key/value head that each head reads, ascending
  // and without gaps; null: even groups.
  Status create(const MultiHeadAttentionConfig& config, const std::uint32_t* kv_heads = nullptr);
  // Xavier-uniform weights (Glorot & Bengio 2010), each matrix as a whole, from one seeded generator; zero biases.
  Status initialize(std::uint32_t seed, Context& context);
  // Makes `smaller` a copy with only the heads kept[0 … count), in that order.
  Status keep_heads(const std::uint32_t* kept, std::size_t count, MultiHeadAttention& smaller, Context& context) const;

  const MultiHeadAttentionConfig& config() const { return config_; }
  Linear& projection(std::size_t index) { return projections_[index]; }
  float* gates() { return gates_.data(); }                                                                    // [H]
  const std::uint32_t* kv_heads() const { return reinterpret_cast<const std::uint32_t*>(kv_heads_.data()); }  // [H]

  // Runs in the three steps of the paper's figure. Nothing has happened unless it returns kOk.
  Status forward(const ForwardArgs& args, Context& context) const;

 private:
  MultiHeadAttentionConfig config_{};
  std::array<Linear, kProjections>
      projections_;               // q: [H*D, E], k: [G*D, key_dim], v: [G*Dv, value_dim]; out: [output_dim, H*Dv]
  AlignedBuffer gates_, slopes_;  // [H], [H] where there is ALiBi
  AlignedBuffer kv_heads_;        // [H] integers
};

}  // namespace headwise
