// The arguments of the forward pass of the multi-head attention module.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/scaled_dot_product.hpp"
#include "nn/kv_cache.hpp"
#include "nn/probe.hpp"

namespace headwise {

enum class HeadOutput : int {
  kNone = 0,
  kValues = 1,         // each head's own output before its gate, [B, H, L, Dv]
  kContributions = 2,  // what each head adds to the output: its gated output times its slice of the projection, [B, H,
                       // L, output_dim]
};

// Which inputs a call has. A missing input is the same as the previous one.
enum class Inputs : int {
  kSelf = 0,    // the query: self-attention
  kMemory = 1,  // query and key: values are projected from the key input
  kAll = 2,
};

struct AttentionTape;

struct ForwardArgs {
  std::size_t B = 0, L = 0, S = 0;
  Inputs inputs = Inputs::kSelf;
  const float* query = nullptr;  // [B, L, E]
  const float* key = nullptr;    // [B, S, key_dim]; not read with Inputs::kSelf
  const float* value = nullptr;  // [B, S, value_dim]; read with Inputs::kAll alone
  Visibility visibility;
  // For rotary embedding, [B, L] and [B, S] (with a cache: [B, L]); null: offset + i for queries and j for keys.
  const std::int32_t* query_positions = nullptr;
  const std::int32_t* key_positions = nullptr;
  // Self-attention with earlier tokens: the cache has visibility.offsets[b] tokens of row b. The new ones are appended,
  // which makes visibility.key_lengths[b] tokens. S is at least the largest of these.
  KvCache* cache = nullptr;
  float* output = nullptr;   // [B, L, output_dim]
  float* weights = nullptr;  // [B, H, L, S] or null
  WeightsStage stage = WeightsStage::kProbabilities;
  HeadOutput head_output = HeadOutput::kNone;
  float* heads = nullptr;         // as head_output says
  const Probe* probe = nullptr;   // what else is read, and what is changed; without a tape
  Dropout dropout = {};           // of the attention weights
  AttentionTape* tape = nullptr;  // training, without a cache: keeps what `backward` needs, and computes all heads

  const float* key_input() const { return inputs == Inputs::kSelf ? query : key; }
  const float* value_input() const { return inputs == Inputs::kAll ? value : key_input(); }
  // Number of tokens of a batch row whose keys and values are projected; with a cache, only the new ones.
  std::size_t projected_keys() const { return cache == nullptr ? S : L; }
};

}  // namespace headwise
