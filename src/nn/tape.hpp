// What a forward pass in training keeps for its backward pass: all that this needs, so that the caller's memory is
// free.
#pragma once

#include "core/arena.hpp"
#include "nn/forward_args.hpp"

namespace headwise {

// What passes from step to step; each head owns a slice of every row. T: tokens whose keys and values are projected.
struct Activations {
  float* projected_query;  // [B, L, H*D], before its norm; where nothing must be kept, `query` itself
  float* projected_key;    // [B, T, G*D], before its norm
  float* query;            // [B, L, H*D]
  float* key;              // [B, T, G*D]
  float* value;            // [B, T, G*Dv]
  float* heads;            // [B, L, H*Dv], the heads' outputs, concatenated
  float* gated;            // the same, times their gates; `heads` itself where ungated ones are not needed
};

// The memory is kept from step to step.
struct AttentionTape {
  bool ready = false;       // between a forward and its backward pass
  ForwardArgs args{};       // with copies of the inputs, and without results
  Activations activations;  // queries and keys after their rotary embedding
  Arena memory;

  // Makes room for `floats`. A failure leaves the tape as it was.
  Status reserve(std::uint64_t floats);
  // Of no queries or no batch rows.
  void record_nothing(const ForwardArgs& from) {
    args = ForwardArgs();
    args.B = from.B;
    args.L = from.L;
    args.S = from.S;
    ready = true;
  }
};

// Copies of the arrays that a forward pass reads, of a module with these widths, in an arena; one without memory
// counts.
ForwardArgs copy_inputs(const ForwardArgs& from, std::size_t embed_dim, std::size_t key_dim, std::size_t value_dim,
                        Arena& arena);

}  // namespace headwise
