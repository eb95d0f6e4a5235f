// What the module's forward and backward pass have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "nn/multi_head_attention.hpp"

namespace headwise {

inline AttentionShape shape_of(const MultiHeadAttentionConfig& config, const ForwardArgs& args) {
  return {args.B, config.num_heads, config.num_kv_heads, args.L, args.S, config.head_dim, config.value_head_dim};
}

// Attention of projected queries, keys and values, each head with its slices. Output, weights and gates are left out.
inline AttentionArgs attention_args(const MultiHeadAttentionConfig& config, const ForwardArgs& args,
                                    const Activations& activations, const float* slopes,
                                    const std::uint32_t* kv_heads) {
  AttentionArgs attention;
  const auto H = config.num_heads, G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  attention.shape = shape_of(config, args);
  attention.query = HeadView<const float>::heads_in_rows(activations.query, H, args.L, D);
  if (args.cache == nullptr) {
    attention.key = HeadView<const float>::heads_in_rows(activations.key, G, args.S, D);
    attention.value = HeadView<const float>::heads_in_rows(activations.value, G, args.S, Dv);
  } else {
    attention.key = args.cache->keys();
    attention.value = args.cache->values();
  }
  attention.visibility = args.visibility;
  attention.kv_heads.table = kv_heads;
  attention.scale = config.scale;
  attention.softcap = config.softcap;
  attention.slopes = config.alibi ? slopes : nullptr;
  attention.dropout = args.dropout;
  return attention;
}

// Angles of the rotary embedding, and the positions that they belong to.
struct Angles {
  float* cos;               // [B * max(L, T), rope_dim / 2]
  float* sin;               // the same
  std::int32_t* positions;  // [B * max(L, T)]

  // Calls fn(piece, floats) for each, where there is a rotary embedding.   tokens: B * max(L, T)
  template <class Fn>
  void for_each_piece(const MultiHeadAttentionConfig& config, std::uint64_t tokens, const Fn& fn) {
    if (config.rope_dim == 0) return;
    fn(cos, tokens * (config.rope_dim / 2));
    fn(sin, tokens * (config.rope_dim / 2));
    fn(positions, tokens);
  }
  void take(const MultiHeadAttentionConfig& config, std::uint64_t tokens, Arena& arena) {
    for_each_piece(config, tokens, [&](auto*& piece, std::uint64_t count) {
      piece = reinterpret_cast<std::remove_reference_t<decltype(piece)>>(arena.take(static_cast<std::size_t>(count)));
    });
  }
};

enum class Turn { kForward, kBack };

// x: [B, length, heads*D], turned in place: token i of batch row b stands at positions[b * length + i], or where these
// are null at first[b] + i, or at i.
void turn(const MultiHeadAttentionConfig& config, Turn direction, float* x, std::size_t B, std::size_t length,
          std::size_t heads, const std::int32_t* positions, const std::int32_t* first, const Angles& angles,
          ThreadPool& pool);

// gated = heads, each times its gate; 0 where that is 0, whatever the head holds.   both: [rows, H*Dv], perhaps the
// same
void gate_heads(const float* gates, std::size_t H, std::size_t Dv, std::size_t rows, const float* heads, float* gated);

// Whether there is a gate that is not 1.
bool any_gated(const float* gates, std::size_t H);

}  // namespace headwise
