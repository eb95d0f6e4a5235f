#include "kernels/gemm_int8.hpp"

#include <algorithm>

#include "kernels/simd_integers.hpp"

namespace headwise {
namespace {

// kRows rows of 8 columns, in registers.
template <std::size_t kRows>
struct SumTile {
  simd::Sums row[kRows][simd::kTileVecs];

  void fill_zeros() noexcept {
    for (auto& sums : row)
      for (auto& v : sums) v = simd::Sums(0);
  }

  // a: [kRows, 2 pairs] with stride a_row; panel: [pairs, 8, 2]
  void multiply_add(const std::int16_t* a, std::size_t a_row, const std::int8_t* panel, std::size_t pairs) noexcept {
    for (std::size_t k = 0; k < 2 * pairs; k += 2, panel += 2 * simd::kTile) {
      simd::Shorts column[simd::kTileVecs];
      for (std::size_t v = 0; v < simd::kTileVecs; ++v) column[v] = simd::load(panel + v * simd::kShorts);
      for (std::size_t r = 0; r < kRows; ++r) {
        const simd::Shorts pair = simd::splat_pair(a + r * a_row + k);
        for (std::size_t v = 0; v < simd::kTileVecs; ++v) row[r][v] = simd::dot_add(column[v], pair, row[r][v]);
      }
    }
  }

  void store(std::int32_t* to) const noexcept {
    for (std::size_t r = 0; r < kRows; ++r) {
      for (std::size_t v = 0; v < simd::kTileVecs; ++v)
        row[r][v].store_aligned(to + r * simd::kTile + v * simd::kLanes);
    }
  }
};

// to[r][n] = before[r][n] + sums[r][n] * column_scales[n] * row_scales[r].   sums: [rows, 8]
// A loop for tiles of any height: unrolled for each height it would be 1 KB of code.
void finish(const std::int32_t* sums, std::size_t rows, const float* row_scales, const float* column_scales,
            const float* before, std::size_t before_row, float* to, std::size_t to_row) noexcept {
  for (std::size_t r = 0; r < rows; ++r, sums += simd::kTile, before += before_row, to += to_row) {
    for (std::size_t n = 0; n < simd::kTile; n += simd::kLanes) {
      const simd::Vec sum = simd::to_float(simd::Sums::load_aligned(sums + n));
      const simd::Vec product = sum * simd::load(column_scales + n) * simd::splat(row_scales[r]);
      simd::store(to + n, simd::load(before + n) + product);
    }
  }
}

}  // namespace

void gemm_int8(const QuantizedRows& a, const RowPanels& panels, Range panel_range, const PackedInt8& b,
               Range tile_range, Start start, const float* bias, float* out, std::size_t out_row) noexcept {
  for (std::size_t t = tile_range.begin; t < tile_range.end; ++t) {
    const std::size_t n = t * simd::kTile, columns = std::min(simd::kTile, b.columns - n);
    alignas(64) float bias_n[simd::kTile] = {};
    if (start == Start::kBias) std::copy_n(bias + n, columns, bias_n);
    for (std::size_t p = panel_range.begin; p < panel_range.end; ++p) {
      const std::size_t i = panels.first_row(p);
      TileView to(out + i * out_row + n, out_row, panels.rows(p), columns);
      if (start == Start::kOutput) to.fetch();
      const float* before = start == Start::kOutput ? to.data : bias_n;
      const std::size_t before_row = start == Start::kOutput ? to.stride : 0;
      alignas(64) std::int32_t sums[kInt8TileRows * simd::kTile];
      with_constant_rows(panels.rows(p), [&](auto rows) {
        if constexpr (rows <= kInt8TileRows) {
          SumTile<rows> tile;
          tile.fill_zeros();
          tile.multiply_add(a.data + i * a.row, a.row, b.data + t * b.panel, b.pairs);
          tile.store(sums);
        }
      });
      finish(sums, panels.rows(p), a.scales + i, b.scales + n, before, before_row, to.data, to.stride);
      to.put_back();
    }
  }
}

}  // namespace headwise
