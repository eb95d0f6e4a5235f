// Rotary position embedding (Su et al. 2021; ONNX RotaryEmbedding): pairs of a head's numbers are rotated by an angle
// that grows with the token's position, so that scores depend on the distance of query and key.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "core/shape.hpp"

namespace headwise {

struct Rotary {
  std::size_t dim = 0;                  // leading numbers of a head that are rotated, even; the rest stays. 0: none are
  float base = 10000.0f;                // pair k is rotated by position * base^(-2k / dim)
  bool interleaved = false;             // pairs are (2k, 2k + 1), else (k, k + dim / 2)
  const double* frequencies = nullptr;  // [dim / 2]: pair k is rotated by position * frequencies[k]; null: from base
  float factor = 1.0f;                  // of cosines and sines
};

// Positions of the tokens of B rows of length L.
struct TokenPositions {
  std::size_t B, L;
  const std::int32_t* given = nullptr;  // [B, L]; null: they are counted
  const std::int32_t* first = nullptr;  // [B], from here; null: from 0

  bool same_in_all_rows() const noexcept { return given == nullptr && first == nullptr; }
  // Rows of a table of angles: one for each token, or where batch rows have the same positions, L.
  std::size_t table_rows() const noexcept { return same_in_all_rows() ? L : B * L; }
  std::int64_t at(std::size_t row) const noexcept {
    if (given != nullptr) return given[row];
    return static_cast<std::int64_t>(row % L) + (first == nullptr ? 0 : first[row / L]);
  }
};

// Cosines and sines of angles, [rows, ceil(dim / 2)] each.
struct RotaryTable {
  float* cos;
  float* sin;
};
RotaryTable take_rotary_table(const Rotary& rotary, std::uint64_t rows, Arena& arena);

enum class Rotation { kForward, kBackward };

// cos, sin: of position * base^(-2k / dim), or of minus that. dim may be odd here. Computed in double: positions go
// beyond 2^31.
void fill_rotary_table(const Rotary& rotary, const TokenPositions& positions, Rotation rotation,
                       const RotaryTable& table, ThreadPool& pool) noexcept;

// to[b, h, i] = from[b, h, i], rotated by row row_of(b, i) of a table: rows[b * L + i], or where `rows` is null
// b * row_batch + i.   from, to: [B, H, L, D], perhaps the same
struct RotaryArgs {
  std::size_t B, H, L, D;
  HeadView<const float> from;
  HeadView<float> to;
  const std::int32_t* rows = nullptr;  // [B, L]
  std::size_t row_batch = 0;           // L where each batch row has rows of its own, 0 where all share them
};
void rotate(const Rotary& rotary, const RotaryArgs& args, const float* cos, const float* sin,
            ThreadPool& pool) noexcept;

// The same by the angles of positions, of which `args` says nothing. The table has positions.table_rows() rows.
void rotate_to_positions(const Rotary& rotary, RotaryArgs args, const TokenPositions& positions, Rotation rotation,
                         const RotaryTable& table, ThreadPool& pool) noexcept;
// With a table in the context's arena.
Status rotate_to_positions(const Rotary& rotary, const RotaryArgs& args, const TokenPositions& positions,
                           Context& context);

}  // namespace headwise
