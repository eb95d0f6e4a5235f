#include "nn/attention_steps.hpp"

#include <algorithm>

namespace headwise {

void turn(const MultiHeadAttentionConfig& config, Turn direction, float* x, std::size_t B, std::size_t length,
          std::size_t heads, const std::int32_t* positions, const std::int32_t* first, const Angles& angles,
          ThreadPool& pool) {
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t token = b * length + i;
      angles.positions[token] =
          positions != nullptr ? positions[token] : static_cast<std::int32_t>(i) + (first == nullptr ? 0 : first[b]);
    }
  }
  const bool shared = positions == nullptr && first == nullptr;  // one table for all batch rows
  const std::size_t rows = shared ? length : B * length;
  fill_rotary_table(config.rotary(), angles.positions, rows, angles.cos, angles.sin, pool);
  if (direction == Turn::kBack) {
    for (std::size_t n = 0; n < rows * (config.rope_dim / 2); ++n) angles.sin[n] = -angles.sin[n];
  }
  rotate(config.rotary(),
         {.B = B,
          .H = heads,
          .L = length,
          .D = config.head_dim,
          .from = HeadView<const float>::heads_in_rows(x, heads, length, config.head_dim),
          .to = HeadView<float>::heads_in_rows(x, heads, length, config.head_dim),
          .table = {angles.cos, angles.sin},
          .row_batch = shared ? 0 : length},
         pool);
}

void gate_heads(const float* gates, std::size_t H, std::size_t Dv, std::size_t rows, const float* heads, float* gated) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t h = 0; h < H; ++h, heads += Dv, gated += Dv) {
      for (std::size_t n = 0; n < Dv; ++n) gated[n] = gates[h] == 0.0f ? 0.0f : heads[n] * gates[h];
    }
  }
}

bool any_gated(const float* gates, std::size_t H) {
  return std::any_of(gates, gates + H, [](float gate) { return gate != 1.0f; });
}

}  // namespace headwise
