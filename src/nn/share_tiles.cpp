#include "nn/share_tiles.hpp"

#include <algorithm>

namespace headwise {
namespace {

constexpr std::size_t kPanelsPerTask = 12;  // 72 rows (48 with tiles of 4): 48 to 96 were equally fast
constexpr std::size_t kTilesPerTask = 18;   // 144 columns, a multiple of the tiles that a single row takes at once

std::size_t tasks_of(std::size_t count, std::size_t per_task) { return (count + per_task - 1) / per_task; }

}  // namespace

void share_tiles(const RowPanels& panels, Range tiles, std::size_t depth, ThreadPool& pool, TileTask task,
                 const void* fn) {
  const std::size_t column_tasks = tasks_of(tiles.end - tiles.begin, kTilesPerTask);
  const double flops = 2.0 * static_cast<double>(panels.first_row(panels.count)) * static_cast<double>(depth) *
                       static_cast<double>((tiles.end - tiles.begin) * simd::kTile);
  const std::size_t tasks = tasks_of(panels.count, kPanelsPerTask) * column_tasks;
  pool.parallel_for(tasks, flops, [&](std::size_t n, std::size_t) {
    const std::size_t p = n / column_tasks * kPanelsPerTask;
    const std::size_t t = tiles.begin + n % column_tasks * kTilesPerTask;
    task(fn, {p, std::min(p + kPanelsPerTask, panels.count)}, {t, std::min(t + kTilesPerTask, tiles.end)});
  });
}

}  // namespace headwise
