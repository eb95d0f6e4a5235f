// Packing: matrices laid out as panels of 8 columns, [columns / 8][depth][8], the way the tile reads them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/simd.hpp"

namespace headwise {

// Floats of a packed matrix with `columns` columns: the last panel is filled up with zeros.
// 64 bits, since with few columns the padding can pass what a 32-bit size_t holds.
constexpr std::uint64_t packed_size(std::size_t columns, std::size_t depth) {
  return std::uint64_t{simd::tiles(columns)} * simd::kTile * depth;
}

// Rows become columns: packed[n / 8][k][n % 8] = rows[n][k] * scale.   rows: [n_count, depth] with stride `row`
inline void pack_rows(const float* rows, std::size_t row, std::size_t n_count, std::size_t depth, float scale,
                      float* packed) noexcept {
  for (std::size_t n = 0; n < n_count; n += simd::kTile, packed += simd::kTile * depth) {
    const std::size_t lanes = std::min(simd::kTile, n_count - n);
    if (lanes < simd::kTile) std::fill(packed, packed + simd::kTile * depth, 0.0f);
    std::size_t k = 0;  // squares first, then what is left of a row
    if (lanes == simd::kTile) {
      for (; k + simd::kLanes <= depth; k += simd::kLanes) {
        for (std::size_t v = 0; v < simd::kTile; v += simd::kLanes) {
          simd::transpose_scaled(rows + (n + v) * row + k, row, scale, packed + k * simd::kTile + v, simd::kTile);
        }
      }
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const float* from = rows + (n + lane) * row;
      float* to = packed + lane;
      for (std::size_t d = k; d < depth; ++d) to[d * simd::kTile] = from[d] * scale;
    }
  }
}

// The inverse of pack_rows with scale 1.   rows: [n_count, depth], contiguous
inline void unpack_rows(const float* packed, std::size_t n_count, std::size_t depth, float* rows) noexcept {
  for (std::size_t n = 0; n < n_count; ++n) {
    const float* from = packed + n / simd::kTile * simd::kTile * depth + n % simd::kTile;
    for (std::size_t k = 0; k < depth; ++k) rows[n * depth + k] = from[k * simd::kTile];
  }
}

// Columns stay columns: packed[n / 8][j][n % 8] = rows[j][n].   rows: [depth, n_count] with stride `row`
// Returns whether every value is finite.
inline bool pack_columns(const float* rows, std::size_t row, std::size_t depth, std::size_t n_count,
                         float* packed) noexcept {
  simd::Vec poison = simd::splat(0.0f);  // 0 * value: NaN as soon as a value is infinite or NaN
  const simd::Vec zero = simd::splat(0.0f);
  for (std::size_t n = 0; n < n_count; n += simd::kTile) {
    const std::size_t lanes = std::min(simd::kTile, n_count - n);
    for (std::size_t j = 0; j < depth; ++j, packed += simd::kTile) {
      const float* from = rows + j * row + n;
      if (lanes == simd::kTile) {
        for (std::size_t v = 0; v < simd::kTile; v += simd::kLanes) simd::store(packed + v, simd::load(from + v));
      } else {
        std::fill(std::copy(from, from + lanes, packed), packed + simd::kTile, 0.0f);
      }
      for (std::size_t v = 0; v < simd::kTile; v += simd::kLanes) {
        poison = simd::fma(simd::load(packed + v), zero, poison);
      }
    }
  }
  return simd::reduce_add(poison) == 0.0f;
}

}  // namespace headwise
