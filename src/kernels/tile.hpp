// The micro-kernel: a few rows times one packed panel of 8 columns. Scores, weighted sums and projections all run on
// it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "kernels/simd.hpp"

namespace headwise {

inline constexpr std::size_t kTileRows = 6;  // rows of a tile, at most

// Splits `rows` into panels of at most tile_rows whose sizes differ by at most one: 128 rows are 18 panels of 6 and 4
// of 5, which is faster than 21 panels of 6 and one of 2.
//
// tile_rows: rows of a full tile, 6 or 4. The results are the same bits. 6 rows of 8 columns need 15 registers,
// which V8's newer compiler (Node 24) has: 54 GFLOP/s of 59, with 5 rows 53, with 4 rows 49 to 51. The older one (Node
// 20 and 22) moves all loads of a step before its arithmetic, runs out of registers and gets 26 with 6 rows, 42 with 5,
// 48 with 4; without relaxed SIMD even the newer one gets 27, 40 and 42.
struct RowPanels {
  RowPanels(std::size_t rows, std::size_t tile_rows)
      : count((rows + tile_rows - 1) / tile_rows),
        small(count == 0 ? 0 : rows / count),
        larger(count == 0 ? 0 : rows % count) {}

  std::size_t first_row(std::size_t panel) const { return panel * small + std::min(panel, larger); }
  std::size_t rows(std::size_t panel) const { return small + (panel < larger ? 1 : 0); }

  std::size_t count;
  std::size_t small, larger;  // rows of the smaller panels, and how many panels have one more
};

// Calls fn(std::integral_constant<std::size_t, rows>) for kLeast <= rows <= kTileRows, so that tiles have constant
// height.
template <std::size_t kLeast = 1, class Fn>
inline void with_constant_rows(std::size_t rows, const Fn& fn) noexcept {
  switch (rows) {
    case 1:
      if constexpr (kLeast <= 1) fn(std::integral_constant<std::size_t, 1>());
      return;
    case 2:
      if constexpr (kLeast <= 2) fn(std::integral_constant<std::size_t, 2>());
      return;
    case 3:
      return fn(std::integral_constant<std::size_t, 3>());
    case 4:
      return fn(std::integral_constant<std::size_t, 4>());
    case 5:
      return fn(std::integral_constant<std::size_t, 5>());
    case 6:
      return fn(std::integral_constant<std::size_t, 6>());
  }
}

// kRows rows of 8 columns, in registers.
template <std::size_t kRows>
struct Tile {
  simd::Vec row[kRows][simd::kTileVecs];

  void fill(float value) noexcept {
    for (auto& vectors : row)
      for (auto& v : vectors) v = simd::splat(value);
  }

  // row[r][n] += sum over k of a[r][k] * panel[k][n].   a: [kRows, depth] with stride a_row; panel: [depth, 8], floats
  // or BF16
  template <class Number>
  void multiply_add(const float* a, std::size_t a_row, const Number* panel, std::size_t depth) noexcept {
    for (std::size_t k = 0; k < depth; ++k, panel += simd::kTile) {
      simd::Vec column[simd::kTileVecs];
      simd::load_panel_row(panel, column);
      for (std::size_t r = 0; r < kRows; ++r) {
        const simd::Vec value = simd::splat(a[r * a_row + k]);
        for (std::size_t v = 0; v < simd::kTileVecs; ++v) row[r][v] = simd::fma(value, column[v], row[r][v]);
      }
    }
  }

  // The same with a read by columns: row[r][n] += sum over k of a[k][r] * panel[k][n].   a: [depth, kRows], stride
  // a_row
  void multiply_add_columns(const float* a, std::size_t a_row, const float* panel, std::size_t depth) noexcept {
    for (std::size_t k = 0; k < depth; ++k, a += a_row, panel += simd::kTile) {
      simd::Vec column[simd::kTileVecs];
      for (std::size_t v = 0; v < simd::kTileVecs; ++v) column[v] = simd::load(panel + v * simd::kLanes);
      for (std::size_t r = 0; r < kRows; ++r) {
        const simd::Vec value = simd::splat(a[r]);
        for (std::size_t v = 0; v < simd::kTileVecs; ++v) row[r][v] = simd::fma(value, column[v], row[r][v]);
      }
    }
  }

  // row[r][n] += from[r][n]
  void add(const float* from, std::size_t from_row) noexcept {
    for (std::size_t r = 0; r < kRows; ++r) {
      for (std::size_t v = 0; v < simd::kTileVecs; ++v) {
        row[r][v] = simd::load(from + r * from_row + v * simd::kLanes) + row[r][v];
      }
    }
  }

  // to[r][n] = row[r][n]
  void store(float* to, std::size_t to_row) const noexcept {
    for (std::size_t r = 0; r < kRows; ++r) {
      for (std::size_t v = 0; v < simd::kTileVecs; ++v) simd::store(to + r * to_row + v * simd::kLanes, row[r][v]);
    }
  }
};

// 8 columns of a few rows of a matrix, for tiles to read and write: the matrix itself or, if fewer columns are left
// (1 … 7), a copy of them. So tiles have only one way to load and store: half of the code, and 2 to 8 % less time.
class TileView {
 public:
  TileView(float* matrix, std::size_t matrix_stride, std::size_t rows, std::size_t columns) noexcept
      : data(columns < simd::kTile ? copy_ : matrix),
        stride(columns < simd::kTile ? simd::kTile : matrix_stride),
        matrix_(matrix),
        matrix_stride_(matrix_stride),
        rows_(rows),
        columns_(columns) {}

  // To be called before the tile is read.
  void fetch() noexcept {
    if (data != copy_) return;
    std::fill_n(copy_, rows_ * simd::kTile, 0.0f);
    copy(matrix_, matrix_stride_, copy_, simd::kTile);
  }
  // To be called after the tile is written.
  void put_back() noexcept {
    if (data == copy_) copy(copy_, simd::kTile, matrix_, matrix_stride_);
  }

  float* const data;
  const std::size_t stride;  // between rows

 private:
  // Not inlined, because it is rare and there is a tile for each height.
  [[gnu::noinline]] void copy(const float* from, std::size_t from_stride, float* to,
                              std::size_t to_stride) const noexcept {
    for (std::size_t r = 0; r < rows_; ++r) std::copy_n(from + r * from_stride, columns_, to + r * to_stride);
  }

  float* matrix_;
  std::size_t matrix_stride_, rows_, columns_;
  alignas(64) float copy_[kTileRows * simd::kTile];
};

// sum[n] = sum over k of a[k] * panel[k][n], leaving out the terms whose a[k] is 0, so that 0 times infinity or NaN
// adds nothing; else bit for bit what a tile computes. Rare, hence one row at a time.   panel: [depth, 8]
inline void multiply_skipping_zeros(const float* a, const float* panel, std::size_t depth, float* sum) noexcept {
  Tile<1> tile;
  tile.fill(0.0f);
  for (std::size_t k = 0; k < depth; ++k) {
    if (a[k] != 0.0f) tile.multiply_add(a + k, 0, panel + k * simd::kTile, 1);
  }
  tile.store(sum, simd::kTile);
}

}  // namespace headwise
