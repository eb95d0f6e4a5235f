// How a product with a packed matrix is shared among threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/thread_pool.hpp"
#include "kernels/gemm.hpp"

namespace headwise {

// Calls fn(panels, tiles) for parts of all row panels and of a range of tiles, on the threads of the pool.
template <class Fn>
void share_tiles(const RowPanels& panels, Range tiles, double flops, ThreadPool& pool, const Fn& fn) {
  constexpr std::size_t kPanelsPerTask = 12;  // 72 rows (48 with tiles of 4): 48 to 96 were equally fast
  constexpr std::size_t kTilesPerTask = 18;   // 144 columns, a multiple of the tiles that a single row takes at once
  const std::size_t row_tasks = (panels.count + kPanelsPerTask - 1) / kPanelsPerTask;
  const std::size_t column_tasks = (tiles.end - tiles.begin + kTilesPerTask - 1) / kTilesPerTask;
  pool.parallel_for(row_tasks * column_tasks, flops, [&](std::size_t task, std::size_t) {
    const std::size_t p = task / column_tasks * kPanelsPerTask;
    const std::size_t t = tiles.begin + task % column_tasks * kTilesPerTask;
    fn(Range{p, std::min(p + kPanelsPerTask, panels.count)}, Range{t, std::min(t + kTilesPerTask, tiles.end)});
  });
}

inline double product_flops(std::size_t rows, std::size_t depth, Range tiles) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(depth) *
         static_cast<double>((tiles.end - tiles.begin) * simd::kTile);
}

}  // namespace headwise
