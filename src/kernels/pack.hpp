// Packing: matrices laid out as panels of 8 columns, [columns / 8][depth][8], the way the tile reads them. Keys and
// values take 0.3 to 0.7 % of a block (128 to 512 tokens, natively), so it is a pass of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/simd.hpp"

namespace headwise {

// Floats of a packed matrix with `columns` columns. The last panel is padded with zeros.
// 64 bits, because with few columns the padded size can exceed a 32-bit size_t.
constexpr std::uint64_t packed_size(std::size_t columns, std::size_t depth) {
  return std::uint64_t{simd::tiles(columns)} * simd::kTile * depth;
}

// Rows become columns: packed[n / 8][k][n % 8] = rows[n][k] * scale.   rows: [n_count, depth] with stride `row`
void pack_rows(const float* rows, std::size_t row, std::size_t n_count, std::size_t depth, float scale,
               float* packed) noexcept;

// The inverse of pack_rows with scale 1.   rows: [n_count, depth], contiguous
void unpack_rows(const float* packed, std::size_t n_count, std::size_t depth, float* rows) noexcept;

// Columns stay columns: packed[n / 8][j][n % 8] = rows[j][n].   rows: [depth, n_count] with stride `row`
// Returns whether every value is finite.
bool pack_columns(const float* rows, std::size_t row, std::size_t depth, std::size_t n_count, float* packed) noexcept;

// to[r][n] = from[r][n] for n < columns; both with strides. Returns whether every value is finite.
bool copy_rows(const float* from, std::size_t from_row, std::size_t rows, std::size_t columns, float* to,
               std::size_t to_row) noexcept;

}  // namespace headwise
