// Rotary position embedding (Su et al. 2021; ONNX RotaryEmbedding): pairs of a head's numbers are rotated by an angle
// that grows with the token's position, so that scores depend on the distance of query and key.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "core/shape.hpp"

namespace headwise {

struct Rotary {
  std::size_t dim = 0;                  // number of leading elements of a head that are rotated, even; 0: none
  float base = 10000.0f;                // pair k is rotated by position * base^(-2k / dim)
  bool interleaved = false;             // pairs are (2k, 2k + 1), otherwise (k, k + dim / 2)
  const double* frequencies = nullptr;  // [dim / 2]: pair k is rotated by position * frequencies[k]; null: from base
  float factor = 1.0f;                  // of cosines and sines
};

// Positions of the tokens of B rows of length L.
struct TokenPositions {
  std::size_t B, L;
  const std::int32_t* given = nullptr;  // [B, L]; null: counted from `first`
  const std::int32_t* first = nullptr;  // [B]: the position of token 0; null: 0

  bool same_in_all_rows() const noexcept { return given == nullptr && first == nullptr; }
  // Rows of a table of angles: one per token, or L if all batch rows have the same positions.
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

// cos, sin: of position * base^(-2k / dim), or of minus that. dim may be odd here. Computed in double, because
// positions exceed 2^31.
void fill_rotary_table(const Rotary& rotary, const TokenPositions& positions, Rotation rotation,
                       const RotaryTable& table, ThreadPool& pool) noexcept;

// to[b, h, i] = from[b, h, i], rotated by row row_of(b, i) of a table: rows[b * L + i], or b * row_batch + i if `rows`
// is null.   from, to: [B, H, L, D], may be the same
struct RotaryArgs {
  std::size_t B, H, L, D;
  HeadView<const float> from;
  HeadView<float> to;
  const std::int32_t* rows = nullptr;  // [B, L]
  std::size_t row_batch = 0;           // L if each batch row has rows of its own, 0 if all share them
};
void rotate(const Rotary& rotary, const RotaryArgs& args, const float* cos, const float* sin,
            ThreadPool& pool) noexcept;

// The same by the angles of `positions`, instead of those in `args`. The table has positions.table_rows() rows.
void rotate_to_positions(const Rotary& rotary, RotaryArgs args, const TokenPositions& positions, Rotation rotation,
                         const RotaryTable& table, ThreadPool& pool) noexcept;
// With a table in the context's arena.
Status rotate_to_positions(const Rotary& rotary, const RotaryArgs& args, const TokenPositions& positions,
                           Context& context);

}  // namespace headwise
