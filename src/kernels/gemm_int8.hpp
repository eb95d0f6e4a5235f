// Rows of 16-bit integers times a packed matrix of 8-bit integers. Sums are exact, and what follows is not fused: the
// results are the same bits in every engine and build.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm.hpp"

namespace headwise {

// Row i is scales[i] * data[i * row …]; |integers| <= max_activation(depth). Its length is even.
struct QuantizedRows {
  const std::int16_t* data;
  std::size_t row;
  const float* scales;
};

// Column n is scales[n] * integers. Panel t: [pairs][8][2], two rows of the matrix side by side, at data + t * panel.
struct PackedInt8 {
  const std::int8_t* data;
  const float* scales;
  std::size_t columns, pairs, panel;
};

// Rows of a tile, at most. GMAC/s in V8 of Node 24, where F32's tile reaches 28: 41 with 5 rows, 39 with 4, 33 with 6;
// Node 22: 28, 39, 32.
inline constexpr std::size_t kInt8TileRows = 5;

// As gemm. A panel may have one row: a single stream of weights, 29 GMAC/s from cache, and a plain read's speed from
// memory.
void gemm_int8(const QuantizedRows& a, const RowPanels& panels, Range panel_range, const PackedInt8& b,
               Range tile_range, Start start, const float* bias, float* out, std::size_t out_row) noexcept;

}  // namespace headwise
