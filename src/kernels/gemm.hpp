// Matrix times packed matrix, for a range of row panels and column tiles: 51 of 59 GFLOP/s in bert's block (bench).
#pragma once

#include <cstddef>

#include "kernels/tile.hpp"

namespace headwise {

// Number: float or simd::Bf16
template <class Number>
struct Packed {
  const Number* data;  // panel t: [depth][8] at data + t * panel
  std::size_t columns, depth, panel;
};
using PackedMatrix = Packed<float>;

struct Range {
  std::size_t begin, end;
};

// Panels that are read at once for a product with one row.
inline constexpr std::size_t kPanelsAtOnce = 3;

// The values that a product is added to.
enum class Start { kZero, kBias, kOutput };

// out[i][n] = start + sum over k of a[i][k] * b[k][n]     ("ik,kn->in")
// a: [rows, b.depth] with stride a_row; out: [rows, b.columns] with stride out_row; bias: [b.columns], for
// Start::kBias. Columns outside, rows inside: a panel of 8 columns stays in L1 while all rows pass.
template <class Number>
void gemm(const float* a, std::size_t a_row, const RowPanels& panels, Range panel_range, const Packed<Number>& b,
          Range tile_range, Start start, const float* bias, float* out, std::size_t out_row) noexcept;

// out[m][n] += sum over k of a[k][m] * b[k][n]     ("km,kn->mn": the gradient of a weight)
// a: [b.depth, rows] with stride a_row, for the `rows` of `panels`; out[m][n] is out[n / 8 * out_tile + m * out_row + n
// % 8]. a_row is best an odd number of cache lines: powers of two would put all rows into a few sets of the cache.
void gemm_transposed(const float* a, std::size_t a_row, const RowPanels& panels, const PackedMatrix& b, float* out,
                     std::size_t out_tile, std::size_t out_row) noexcept;

}  // namespace headwise
