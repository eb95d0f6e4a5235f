// Rotary position embedding (Su et al. 2021; ONNX RotaryEmbedding): pairs of a head's numbers turn by an angle that
// grows with the token's position, so that scores depend on distances.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "core/shape.hpp"

namespace headwise {

struct Rotary {
  std::size_t dim = 0;       // leading numbers of a head that turn, even; the rest stays. 0: none do
  float base = 10000.0f;     // pair k turns by position * base^(-2k / dim)
  bool interleaved = false;  // pairs are (2k, 2k + 1), else (k, k + dim / 2)
};

// Cosines and sines, [rows, dim / 2]; which row a token takes is the caller's to say.
struct RotaryTable {
  const float* cos;
  const float* sin;
};

// Row n: the angles of positions[n]. Computed in double: positions go to 2^31.   cos, sin: [count, dim / 2]
void fill_rotary_table(const Rotary& rotary, const std::int32_t* positions, std::size_t count, float* cos, float* sin,
                       ThreadPool& pool) noexcept;

// to[b, h, i] = from[b, h, i] turned by the table's row row_of(b, i) = rows == null ? b * row_batch + i : rows[b * L +
// i]. from and to: [B, H, L, D], perhaps the same.
struct RotaryArgs {
  std::size_t B, H, L, D;
  HeadView<const float> from;
  HeadView<float> to;
  RotaryTable table;
  const std::int32_t* rows = nullptr;  // [B, L]
  std::size_t row_batch = 0;           // L where each batch row has rows of its own, 0 where all share them
};
void rotate(const Rotary& rotary, const RotaryArgs& args, ThreadPool& pool) noexcept;

}  // namespace headwise
