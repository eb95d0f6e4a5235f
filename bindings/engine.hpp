// The core as JavaScript sees it: numbers for extents and pointers, one struct a call. Nothing is computed here.
#pragma once

#include <cstdint>
#include <memory>

#include "headwise.hpp"

namespace headwise::bindings {

using Pointer = std::uintptr_t;

template <class T>
T* at(Pointer pointer) {
  return reinterpret_cast<T*>(pointer);
}

struct VisibilityCall {
  int mask_type;  // MaskType
  Pointer mask;
  std::size_t mask_batch, mask_heads, mask_queries, mask_keys;  // extents, each full or 1; the last may be less
  bool causal;
  std::int32_t window_left, window_right;  // -1: open
  Pointer offsets;                         // [B] or null: 0
  Pointer key_lengths;                     // [B] or null: all
};

struct AttentionCall {
  std::size_t batch, heads, kv_heads, queries;
  std::size_t past, keys;  // P, and the new keys alone
  std::size_t head_dim, value_head_dim;
  bool heads_first;  // query, new keys, new values and output: [B, H, L, D], or else [B, L, H*D]
  Pointer query, key, value, output;
  Pointer past_key, past_value;        // [B, G, P, D], [B, G, P, Dv] or null
  Pointer present_key, present_value;  // [B, G, P + keys, D], …, to be written; null: keys and values are the new ones
  Pointer weights, gates;
  int weights_stage;  // WeightsStage
  float scale, softcap;
  VisibilityCall visibility;
};

struct RotaryCall {
  std::size_t batch, heads, length, head_dim;
  bool heads_first;  // [B, H, L, D], or else [B, L, H*D]
  Pointer input, output;
  std::size_t dim;
  bool interleaved;
  float base;
  Pointer positions;  // [B, L]: rows of cos and sin where these are given, else positions. Null: 0 … L - 1
  Pointer cos, sin;   // [rows, dim / 2]; without positions [B, L, dim / 2]. Null: from base
};

struct AnalysisCall {
  std::size_t batch, heads, queries, keys;
  Pointer weights, statistics;
  Pointer tokens;           // [batch, keys], or [keys], or null
  bool tokens_of_each_row;  // [batch, keys]
  VisibilityCall visibility;
};

struct ForwardCall {
  std::size_t batch, queries, keys;
  Pointer query, key, value;
  Pointer query_positions, key_positions;  // [B, L], [B, keys] or null; with a cache both [B, L]
  Pointer output, weights, heads;
  int weights_stage, head_output;  // WeightsStage, HeadOutput
  VisibilityCall visibility;
};

// A module and the instance that it computes on.
class Module {
 public:
  explicit Module(Context& context) : attention(own_), context_(context) {}
  // Part of something larger, which must outlive it.
  Module(Context& context, MultiHeadAttention& shared) : attention(shared), context_(context) {}

  // Parameters are numbered by projection (query, key, value, out): weight 2 * p, bias 2 * p + 1.
  void get_parameter(std::size_t index, Pointer to);
  void set_parameter(std::size_t index, Pointer from);
  void get_gates(Pointer to);
  void set_gates(Pointer from);
  // With a cache (or null), call.visibility says how many of its tokens are valid, before and after.
  Status forward(const ForwardCall& call, KvCache* cache);
  std::unique_ptr<Module> keep_heads(Pointer kept, std::size_t count);            // null: out of memory
  std::unique_ptr<KvCache> cache(std::size_t batch, std::size_t capacity) const;  // null: out of memory

  // For optimizers, as a model has them.
  Status enable_gradients() { return attention.enable_gradients(); }
  std::unique_ptr<Moments> moments();
  double sum_of_squares();
  void update(Moments& moments, const AdamWStep& step);

 private:
  MultiHeadAttention own_;

 public:
  MultiHeadAttention& attention;

 private:
  Context& context_;
};

class Model;

class Engine {
 public:
  explicit Engine(std::size_t threads) : status_(context_.pool.start(threads)) {}

  Status status() const { return status_; }
  // Room for a call's inputs and results; the same block for every call. Null: out of memory.
  Pointer stage(double bytes);
  // Gives back what is kept from call to call, so that a call that was refused memory leaves none behind.
  void release_buffers();
  Status attention(const AttentionCall& call);
  Status rotary_embedding(const RotaryCall& call);
  Status analyze_heads(const AnalysisCall& call);
  // kv_heads: [num_heads], or null for even groups.
  std::unique_ptr<Module> multi_head_attention(const MultiHeadAttentionConfig& config, Pointer kv_heads,
                                               std::uint32_t seed);
  std::unique_ptr<Model> transformer(const TransformerConfig& config);  // null: out of memory
  std::size_t used_bytes() const { return bytes_in_use.load(); }

 private:
  Context context_;
  AlignedBuffer staging_;
  Status status_;
};

}  // namespace headwise::bindings
