// What the forward pass of the multi-head attention module takes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/scaled_dot_product.hpp"
#include "nn/kv_cache.hpp"

namespace headwise {

enum class HeadOutput : int {
  kNone = 0,
  kValues = 1,         // each head's own output before its gate, [B, H, L, Dv]
  kContributions = 2,  // what it adds to the output: gated, through its slice of the projection, [B, H, L, output_dim]
};

struct AttentionTape;

struct ForwardArgs {
  std::size_t B = 0, L = 0, S = 0;
  const float* query = nullptr;  // [B, L, E]
  const float* key = nullptr;    // [B, S, key_dim]
  const float* value = nullptr;  // [B, S, value_dim]
  Visibility visibility;
  // For rotary embedding, [B, L] and [B, S] (with a cache: [B, L]); null: offset + i for queries and j for keys.
  const std::int32_t* query_positions = nullptr;
  const std::int32_t* key_positions = nullptr;
  // Self-attention with earlier tokens: row b has visibility.offsets[b] of them in the cache; the new ones are put
  // behind them, which makes visibility.key_lengths[b]; S is at least the largest of these.
  KvCache* cache = nullptr;
  float* output = nullptr;   // [B, L, output_dim]
  float* weights = nullptr;  // [B, H, L, S] or null
  WeightsStage stage = WeightsStage::kProbabilities;
  HeadOutput head_output = HeadOutput::kNone;
  float* heads = nullptr;         // as head_output says
  Dropout dropout = {};           // of the attention weights
  AttentionTape* tape = nullptr;  // training, without a cache: keeps what `backward` needs, and skips no head
};

}  // namespace headwise
