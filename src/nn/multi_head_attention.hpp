// Multi-head attention with its parameters: project, attend with every head, combine (Vaswani et al. 2017, 3.2.2).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "attention/rotary.hpp"
#include "attention/scaled_dot_product.hpp"
#include "core/aligned_buffer.hpp"
#include "core/context.hpp"
#include "nn/forward_args.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/tape.hpp"

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
  const double* rope_frequencies = nullptr;  // [rope_dim / 2], copied by `create`; null: from rope_base
  float rope_factor = 1.0f;                  // of the cosines and sines of the angles
  bool alibi = false;
  bool query_key_norm = false;  // RMS norm of each head's queries and keys, before the rotary embedding
  float norm_epsilon = 1e-6f;
  WeightFormat weight_format = WeightFormat::kF32;

  Rotary rotary() const { return {rope_dim, rope_base, rope_interleaved, rope_frequencies, rope_factor}; }
};

// The given gradients of a backward pass, and the gradients of the inputs that it writes.
struct BackwardArgs {
  const float* output;             // [B, L, output_dim]
  const float* weights = nullptr;  // of the probabilities, [B, H, L, S], or null: zeros
  // [B, L, E], [B, S, key_dim], [B, S, value_dim]: each through its own projection; null: not wanted.
  float* query = nullptr;
  float* key = nullptr;
  float* value = nullptr;
  bool sum = false;  // for self-attention: writes the sum of the three to `query`, and nothing to the others
  const Probe* probe = nullptr;  // copies the gradients of what was at a place; null: of nothing
  bool learn = true;             // whether parameters get gradients, or gates and inputs alone
};

class MultiHeadAttention {
 public:
  enum Projection : std::size_t { kQuery, kKey, kValue, kOut, kProjections };

  // Weights and biases start as zeros, gates as ones, ALiBi's slopes as published for H heads. kv_heads: [H], the
  // key/value head that each head reads, ascending without gaps; null: groups of equal sizes.
  Status create(const MultiHeadAttentionConfig& config, const std::uint32_t* kv_heads = nullptr);
  // The same for a module of `whole` with only the heads kept[0 … count). Allocates only these.
  Status create_kept(const MultiHeadAttentionConfig& whole, const std::uint32_t* kept, std::size_t count);
  // Xavier-uniform weights (Glorot & Bengio 2010), per whole matrix, from one seeded generator; zero biases.
  Status initialize(std::uint32_t seed, Context& context);
  // Makes `smaller` a copy with only the heads kept[0 … count), in that order.
  Status keep_heads(const std::uint32_t* kept, std::size_t count, MultiHeadAttention& smaller) const;

  const MultiHeadAttentionConfig& config() const { return config_; }
  Linear& projection(std::size_t index) { return projections_[index]; }
  float* gates() { return gates_.data(); }    // [H]
  float* slopes() { return slopes_.data(); }  // [H], with ALiBi
  const std::uint32_t* kv_heads() const { return reinterpret_cast<const std::uint32_t*>(kv_heads_.data()); }  // [H]

  // [rope_dim / 2], in the place of those that `create` was given.
  void set_rope_frequencies(const double* frequencies) noexcept {
    std::copy_n(frequencies, config_.rope_dim / 2, reinterpret_cast<double*>(frequencies_.data()));
  }

  // Runs the three steps of the paper's figure. Changes nothing unless it returns kOk.
  Status forward(const ForwardArgs& args, Context& context) const;

  // Training. Gradients start as zeros, and accumulate. Room for them is made once, at the latest by `backward`.
  Status enable_gradients();
  Status enable_gate_gradients();  // for these alone
  void zero_gradients() noexcept;
  void zero_gate_gradients() noexcept;
  // Calls fn(Linear) or fn(ParameterBuffer) for everything that is learned: projections in the order of `Projection`,
  // then the norms of queries and keys. Gates are not parameters.
  template <class Fn>
  void visit(const Fn& fn) {
    for (Linear& projection : projections_) fn(projection);
    query_norm_.visit(fn);
    key_norm_.visit(fn);
  }
  template <class Fn>
  void for_each_parameter(const Fn& fn) {
    visit([&](auto& part) { part.for_each_parameter(fn); });
  }
  float* gate_gradients() { return gate_gradients_.data(); }  // [H], or null before gradients are enabled
  const float* gate_gradients() const { return gate_gradients_.data(); }
  // Floats of the context's arena that `backward` takes, after a forward pass with these arguments.
  std::uint64_t backward_scratch(const ForwardArgs& args, std::size_t threads) const;
  // The backward pass of the forward pass on the tape, once. Parameters and gates must be as they were then. Gates of 0
  // get a gradient, too. Changes nothing unless it returns kOk; kInvalidArgument: the tape is not ready.
  Status backward(AttentionTape& tape, const BackwardArgs& args, Context& context);

 private:
  // The most that the backward pass of a projection or a norm takes.
  std::uint64_t step_scratch(const ForwardArgs& args, std::size_t threads) const;

  MultiHeadAttentionConfig config_{};
  std::array<Linear, kProjections>
      projections_;               // q: [H*D, E], k: [G*D, key_dim], v: [G*Dv, value_dim]; out: [output_dim, H*Dv]
  Norm query_norm_, key_norm_;    // of D numbers, or none
  AlignedBuffer frequencies_;     // [rope_dim / 2] doubles, where they are given
  AlignedBuffer gates_, slopes_;  // [H]; [H] with ALiBi
  AlignedBuffer kv_heads_;        // [H] integers
  AlignedBuffer gate_gradients_;  // [H]
};

}  // namespace headwise
