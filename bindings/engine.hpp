// The core as JavaScript sees it: numbers for extents and pointers, one struct per call. Nothing is computed here.
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

// int8 cannot hold infinity or NaN.
inline Status held(bool is_held) { return is_held ? Status::kOk : Status::kInvalidArgument; }

// Omitted if all keys are visible, because its conversion takes 4 of the smallest row's 24 µs.
struct VisibilityCall {
  int mask_type = 0;  // MaskType
  Pointer mask = 0;
  std::size_t mask_batch = 1, mask_heads = 1, mask_queries = 1, mask_keys = 1;  // full or 1; the last may be smaller
  Pointer key_mask = 0;                               // bytes [key_mask_batch, key_mask_keys] or null
  std::size_t key_mask_batch = 1, key_mask_keys = 1;  // B or 1; S
  bool causal = false;
  std::int32_t window_left = -1, window_right = -1;  // -1: open
  Pointer offsets = 0;                               // [B] or null: 0
  Pointer key_lengths = 0;                           // [B] or null: all
};

struct AttentionCall {
  std::size_t batch, heads, kv_heads, queries;
  std::size_t past, keys;  // P, and the new keys alone
  std::size_t head_dim, value_head_dim;
  bool heads_first;  // query, new keys, new values and output: [B, H, L, D], otherwise [B, L, H*D]
  Pointer query, key, value, output;
  Pointer past_key, past_value;        // [B, G, P, D], [B, G, P, Dv] or null
  Pointer present_key, present_value;  // [B, G, P + keys, D], …, results; null: keys and values are the new ones
  Pointer weights, gates;
  int weights_stage;  // WeightsStage
  float scale, softcap;
};

struct RotaryCall {
  std::size_t batch, heads, length, head_dim;
  bool heads_first;  // [B, H, L, D], otherwise [B, L, H*D]
  Pointer input, output;
  std::size_t dim;
  bool interleaved;
  float base;
  Pointer positions;  // [B, L]: rows of cos and sin if these are given, otherwise positions. Null: 0 … L - 1
  Pointer cos, sin;   // [rows, dim / 2]; without positions [B, L, dim / 2]. Null: computed from base
};

struct AnalysisCall {
  std::size_t batch, heads, queries, keys;
  Pointer weights, statistics;
  Pointer tokens;           // [batch, keys], or [keys], or null
  bool tokens_of_each_row;  // whether tokens are [batch, keys]
};

// A module and the instance that it computes on.
class Module {
 public:
  explicit Module(Context& context) : attention(own_), context_(context) {}
  // A part of a model, which must outlive it.
  Module(Context& context, MultiHeadAttention& shared) : attention(shared), context_(context) {}

  // By index in MultiHeadAttention::for_each_parameter. Gradients exist once they have been enabled.
  void get_parameter(std::size_t index, Pointer to) { parameter_at(attention, index).read_value(at<float>(to)); }
  // kInvalidArgument, and nothing has changed: int8 cannot hold infinity or NaN.
  Status set_parameter(std::size_t index, Pointer from) {
    return held(parameter_at(attention, index).write_value(at<const float>(from)));
  }
  void get_gradient(std::size_t index, Pointer to) { parameter_at(attention, index).read_gradient(at<float>(to)); }
  void get_gates(Pointer to);
  void set_gates(Pointer from);
  void get_gate_gradient(Pointer to);  // [H]
  // Only for a module with ALiBi.
  float get_slope(std::size_t head) { return attention.slopes()[head]; }
  void set_slope(std::size_t head, float slope) { attention.slopes()[head] = slope; }
  // args: without visibility, cache, dropout and tape. With a cache (or null), the visibility has the numbers of its
  // valid tokens before and after the call.
  Status forward(ForwardArgs args, KvCache* cache, const VisibilityCall& visibility);
  Status forward(const ForwardArgs& args, KvCache* cache) { return forward(args, cache, {}); }
  // The same in training: keeps what `backward` needs. Without a cache.
  Status train_forward(ForwardArgs args, float dropout_rate, std::uint32_t dropout_seed,
                       const VisibilityCall& visibility);
  Status train_forward(const ForwardArgs& args, float dropout_rate, std::uint32_t dropout_seed) {
    return train_forward(args, dropout_rate, dropout_seed, {});
  }
  // The backward pass of the last train_forward, once. output, weights (or null): given gradients; the others are
  // results.
  Status backward(Pointer output, Pointer weights, Pointer query, Pointer key, Pointer value);
  void zero_gradients() { attention.zero_gradients(); }
  std::unique_ptr<Module> keep_heads(Pointer kept, std::size_t count);            // null: out of memory
  std::unique_ptr<KvCache> cache(std::size_t batch, std::size_t capacity) const;  // null: out of memory

  // For optimizers, as in Model.
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
  AttentionTape tape_;
};

class Model;

class Engine {
 public:
  // tile_rows: 6 or 4, whichever is faster with this engine's compiler (kernels/tile.hpp).
  Engine(std::size_t threads, std::size_t tile_rows) : status_(context_.pool.start(threads)) {
    context_.tile_rows = tile_rows;
  }

  Status status() const { return status_; }
  // Memory for a call's inputs and results, the same block for every call. Null: out of memory.
  Pointer stage(double bytes);
  // Frees the memory that is kept between calls.
  void release_buffers();
  Status attention(const AttentionCall& call, const VisibilityCall& visibility);
  Status attention(const AttentionCall& call) { return attention(call, {}); }
  Status rotary_embedding(const RotaryCall& call);
  Status analyze_heads(const AnalysisCall& call, const VisibilityCall& visibility);
  Status analyze_heads(const AnalysisCall& call) { return analyze_heads(call, {}); }
  // kv_heads: [num_heads], or null for groups of equal sizes. frequencies: [rope_dim / 2] doubles, or null for those of
  // the base.
  std::unique_ptr<Module> multi_head_attention(const MultiHeadAttentionConfig& config, Pointer kv_heads,
                                               Pointer frequencies, std::uint32_t seed);
  // layers: [N] of LayerCall. frequencies: [N] pointers, each to [rope_dim / 2] doubles, or null for those of the base.
  // Null: out of memory.
  std::unique_ptr<Model> transformer(const TransformerConfig& config, Pointer layers, Pointer frequencies);
  // All parameters are zeros; kept, counts: as Model::keep_heads takes them. Null: out of memory.
  std::unique_ptr<Model> empty_transformer(const TransformerConfig& config, Pointer layers, Pointer frequencies,
                                           Pointer kept, Pointer counts);
  std::size_t used_bytes() const { return bytes_in_use.load(); }

 private:
  Context context_;
  AlignedBuffer staging_;
  Status status_;
};

}  // namespace headwise::bindings
