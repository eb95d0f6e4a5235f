// What a forward pass in training keeps for its backward pass. The backward pass needs nothing of the caller's memory.
#pragma once

#include "core/arena.hpp"
#include "nn/forward_args.hpp"

namespace headwise {

// The activations between the steps; each head owns a slice of every row. T: tokens whose keys and values are
// projected.
struct Activations {
  float* projected_query;  // [B, L, H*D], before its norm; where nothing must be kept, `query` itself
  float* projected_key;    // [B, T, G*D], before its norm
  float* query;            // [B, L, H*D]
  float* key;              // [B, T, G*D]
  float* value;            // [B, T, G*Dv]
  float* heads;            // [B, L, H*Dv], the heads' outputs, concatenated
  float* gated;            // the same times the gates; `heads` itself if ungated outputs are not needed
};

// The memory is kept between steps.
struct AttentionTape {
  bool ready = false;       // between a forward and its backward pass
  ForwardArgs args{};       // with copies of the inputs, without results
  Activations activations;  // queries and keys after rotation
  Arena memory;

  // Makes room for `floats`. A failure leaves the tape as it was.
  Status reserve(std::uint64_t floats);
  // Whether it has no queries or no batch rows.
  void record_nothing(const ForwardArgs& from) {
    args = ForwardArgs();
    args.B = from.B;
    args.L = from.L;
    args.S = from.S;
    ready = true;
  }
};

// Copies the arrays that a forward pass reads into an arena, for a module with these widths. An arena without memory
// counts.
ForwardArgs copy_inputs(const ForwardArgs& from, std::size_t embed_dim, std::size_t key_dim, std::size_t value_dim,
                        Arena& arena);

}  // namespace headwise
