// Steps that the module's forward and backward pass share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "nn/multi_head_attention.hpp"

namespace headwise {

inline AttentionShape shape_of(const MultiHeadAttentionConfig& config, const ForwardArgs& args) {
  return {args.B, config.num_heads, config.num_kv_heads, args.L, args.S, config.head_dim, config.value_head_dim};
}

// The arguments of attention for projected queries, keys and values, without output, weights and gates.
AttentionArgs attention_args(const MultiHeadAttentionConfig& config, const ForwardArgs& args,
                             const Activations& activations, const float* slopes, const std::uint32_t* kv_heads);

// Room for the angles of queries or keys.
inline RotaryTable take_rotary_table(const MultiHeadAttentionConfig& config, const ForwardArgs& args, Arena& arena) {
  return take_rotary_table(config.rotary(), std::uint64_t{args.B} * std::max(args.L, args.projected_keys()), arena);
}

// Rotates queries, [B, L, H*D], and keys, [B, T, G*D], in place to their positions, or back.
void rotate_queries_and_keys(const MultiHeadAttentionConfig& config, const ForwardArgs& args, Rotation rotation,
                             float* query, float* key, const RotaryTable& table, ThreadPool& pool);

// Changes the weights at which attention has given its output. A row of weights that has changed attends again, by the
// weights as they are, which need not sum to one; any other keeps its output, bit for bit.   rows: [threads, S]
void change_weights(const AttentionArgs& args, const Probe& probe, float* rows, ThreadPool& pool);

// gated = heads, each times its gate; 0 if the gate is 0, even if the head is NaN.   both: [rows, H*Dv], may be the
// same
void gate_heads(const float* gates, std::size_t H, std::size_t Dv, std::size_t rows, const float* heads, float* gated);

// Whether any gate is not 1.
bool any_gated(const float* gates, std::size_t H);

}  // namespace headwise
