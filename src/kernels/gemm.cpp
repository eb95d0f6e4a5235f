#include "kernels/gemm.hpp"

#include <algorithm>

namespace headwise {
namespace {

// One row of a tile has two chains of dependent additions: 28 GB/s of weights from cache. Three panels at once have
// six: 65 GB/s, and the same sums bit for bit. Four would reach 70 in V8's newer compiler (Node 24), but 33 instead of
// 60 in the older one (Node 20), which runs out of registers.
constexpr std::size_t kAtOnce = kPanelsAtOnce;

// The range is read as three streams, each a third of it. Three adjacent panels at once would interrupt their streams
// after each panel: weights in memory (a decoder's are larger than any cache) are then read at 21 GB/s, like this at
// 28, the speed of a plain read.
template <class Number>
void gemm_row(const float* a, const Packed<Number>& b, Range tile_range, Start start, const float* bias,
              float* out) noexcept {
  const std::size_t stream = (tile_range.end - tile_range.begin + kAtOnce - 1) / kAtOnce;
  for (std::size_t t = tile_range.begin; t < tile_range.begin + stream; ++t) {
    const Number* panel[kAtOnce];  // a stream that has ended repeats the last panel
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      panel[i] = b.data + std::min(t + i * stream, tile_range.end - 1) * b.panel;
    }

    Tile<kAtOnce> tile;  // row i: the one row's columns in panel i
    tile.fill(0.0f);
    for (std::size_t k = 0; k < b.depth; ++k) {
      const simd::Vec value = simd::splat(a[k]);
      for (std::size_t i = 0; i < kAtOnce; ++i) {
        simd::Vec column[simd::kTileVecs];
        simd::load_panel_row(panel[i] + k * simd::kTile, column);
        for (std::size_t v = 0; v < simd::kTileVecs; ++v) {
          tile.row[i][v] = simd::fma(value, column[v], tile.row[i][v]);
        }
      }
    }
    alignas(64) float sum[kAtOnce * simd::kTile] = {};
    const auto for_each_part = [&](const auto& copy) {
      for (std::size_t i = 0; i < kAtOnce && t + i * stream < tile_range.end; ++i) {
        const std::size_t first = (t + i * stream) * simd::kTile;
        copy(first, std::min(simd::kTile, b.columns - first), sum + i * simd::kTile);
      }
    };
    if (start != Start::kZero) {
      const float* before = start == Start::kBias ? bias : out;
      for_each_part([&](std::size_t n, std::size_t columns, float* part) { std::copy_n(before + n, columns, part); });
    }
    tile.add(sum, simd::kTile);
    tile.store(sum, simd::kTile);
    for_each_part([&](std::size_t n, std::size_t columns, float* part) { std::copy_n(part, columns, out + n); });
  }
}

}  // namespace

template <class Number>
void gemm(const float* a, std::size_t a_row, const RowPanels& panels, Range panel_range, const Packed<Number>& b,
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

template void gemm(const float*, std::size_t, const RowPanels&, Range, const Packed<float>&, Range, Start, const float*,
                   float*, std::size_t) noexcept;
template void gemm(const float*, std::size_t, const RowPanels&, Range, const Packed<simd::Bf16>&, Range, Start,
                   const float*, float*, std::size_t) noexcept;

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
