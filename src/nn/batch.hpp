// What a transformer reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headwise {

// B sequences of L rows: tokens, or class and register tokens and then patches.
struct Batch {
  std::size_t B, L;
  const std::int32_t* tokens = nullptr;       // [B, L]
  const float* patches = nullptr;             // [B, P, patch_dim], where a model has these instead
  const float* patch_positions = nullptr;     // [P, E], added to patches instead of learned positions; null: those
  const std::int32_t* positions = nullptr;    // [B, L]; null: `first` + i
  const std::int32_t* token_types = nullptr;  // [B, L]; null: all 0
  const std::int32_t* mask = nullptr;         // [B, L], 0: padding, which nobody attends to; null: none is
  const std::int32_t* targets = nullptr;      // [B, L], or of classes [B]; kIgnored where nothing counts
  const std::int32_t* pooled_rows = nullptr;  // [B], the rows that are pooled; null: the first ones
  std::int32_t first = 0;                     // earlier tokens of the sequence, in a cache

  std::size_t rows() const { return B * L; }
};

}  // namespace headwise
