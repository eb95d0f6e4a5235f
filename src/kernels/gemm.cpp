#include "kernels/gemm.hpp"

#include <algorithm>

namespace headwise {
namespace {

// One row of a tile has two chains of dependent additions: 28 GB/s of weights. Three tiles side by side have six: 65
// GB/s, and the same sums bit for bit. Four would reach 70 in V8's newer compiler (Node 24), but 33 instead of 60 in
// the older one (Node 20), which runs out of registers.
constexpr std::size_t kSideBySide = 3;

void gemm_row(const float* a, const PackedMatrix& b, Range tile_range, Start start, const float* bias,
              float* out) noexcept {
  for (std::size_t t = tile_range.begin; t < tile_range.end; t += kSideBySide) {
    const std::size_t end = std::min(t + kSideBySide, tile_range.end), first = t * simd::kTile;
    const std::size_t columns = std::min(end * simd::kTile, b.columns) - first;
    const float* panel[kSideBySide];
    for (std::size_t i = 0; i < kSideBySide; ++i) {
      panel[i] = b.data + std::min(t + i, end - 1) * b.panel;  // if fewer are left, repeat the last one
    }

    Tile<kSideBySide> tile;  // row i: the one row's columns in panel i
    tile.fill(0.0f);
    for (std::size_t k = 0; k < b.depth; ++k) {
      const simd::Vec value = simd::splat(a[k]);
      for (std::size_t i = 0; i < kSideBySide; ++i) {
        for (std::size_t v = 0; v < simd::kTileVecs; ++v) {
          const simd::Vec column = simd::load(panel[i] + k * simd::kTile + v * simd::kLanes);
          tile.row[i][v] = simd::fma(value, column, tile.row[i][v]);
        }
      }
    }
    alignas(64) float sum[kSideBySide * simd::kTile] = {};
    if (start != Start::kZero) std::copy_n((start == Start::kBias ? bias : out) + first, columns, sum);
    tile.add(sum, simd::kTile);
    tile.store(sum, simd::kTile);
    std::copy_n(sum, columns, out + first);
  }
}

}  // namespace

void gemm(const float* a, std::size_t a_row, const RowPanels& panels, Range panel_range, const PackedMatrix& b,
          Range tile_range, Start start, const float* bias, float* out, std::size_t out_row) noexcept {
  // With tiles of 4 or 6 rows only a single row makes a panel of one.
  if (panels.small == 1) return gemm_row(a, b, tile_range, start, bias, out);
  for (std::size_t t = tile_range.begin; t < tile_range.end; ++t) {
    const std::size_t n = t * simd::kTile;
    const std::size_t columns = std::min(simd::kTile, b.columns - n);
    alignas(64) float bias_n[simd::kTile] = {};
    if (start == Start::kBias) std::copy(bias + n, bias + n + columns, bias_n);
    for (std::size_t p = panel_range.begin; p < panel_range.end; ++p) {
      const std::size_t i = panels.first_row(p);
      TileView to(out + i * out_row + n, out_row, panels.rows(p), columns);
      if (start == Start::kOutput) to.fetch();
      const float* before = start == Start::kOutput ? to.data : bias_n;
      const std::size_t before_row = start == Start::kOutput ? to.stride : 0;
      with_constant_rows<2>(panels.rows(p), [&](auto rows) {
        Tile<rows> tile;
        tile.fill(0.0f);
        tile.multiply_add(a + i * a_row, a_row, b.data + t * b.panel, b.depth);
        tile.add(before, before_row);
        tile.store(to.data, to.stride);
      });
      to.put_back();
    }
  }
}

void gemm_transposed(const float* a, std::size_t a_row, const RowPanels& panels, const PackedMatrix& b, float* out,
                     std::size_t out_tile, std::size_t out_row) noexcept {
  const float* b_tile = b.data;
  for (std::size_t n = 0; n < b.columns; n += simd::kTile, b_tile += b.panel, out += out_tile) {
    const std::size_t columns = std::min(simd::kTile, b.columns - n);
    for (std::size_t p = 0; p < panels.count; ++p) {
      const std::size_t m = panels.first_row(p);
      TileView to(out + m * out_row, out_row, panels.rows(p), columns);
      to.fetch();
      with_constant_rows(panels.rows(p), [&](auto rows) {
        Tile<rows> tile;
        tile.fill(0.0f);
        tile.multiply_add_columns(a + m, a_row, b_tile, b.depth);
        tile.add(to.data, to.stride);
        tile.store(to.data, to.stride);
      });
      to.put_back();
    }
  }
}

}  // namespace headwise
