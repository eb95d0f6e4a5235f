#include "nn/share_tiles.hpp"

#include <algorithm>

namespace headwise {
namespace {

constexpr std::size_t kPanelsPerTask = 12;  // 72 rows (48 with tiles of 4): 48 to 96 were equally fast
constexpr std::size_t kTilesPerTask = 12;   // 96 columns, at most
// At least, so that no thread waits long for the last one: MiniLM with 32 tokens and two threads is then 1.8 times as
// fast as with one, with 96 columns in each task 1.5 times.
constexpr std::size_t kTasksPerThread = 4;

std::size_t tasks_of(std::size_t count, std::size_t per_task) { return (count + per_task - 1) / per_task; }

}  // namespace

void share_tiles(const RowPanels& panels, Range tiles, std::size_t depth, ThreadPool& pool, TileTask task,
                 const void* fn) {
  const std::size_t count = tiles.end - tiles.begin, panel_tasks = tasks_of(panels.count, kPanelsPerTask);
  const std::size_t share = tasks_of(count * panel_tasks, kTasksPerThread * pool.threads());
  const std::size_t per_task = std::min(kTilesPerTask, simd::round_up(std::max<std::size_t>(share, 1), kPanelsAtOnce));
  const std::size_t column_tasks = tasks_of(count, per_task);
  const double flops = 2.0 * static_cast<double>(panels.first_row(panels.count)) * static_cast<double>(depth) *
                       static_cast<double>(count * simd::kTile);
  const std::size_t tasks = panel_tasks * column_tasks;
  pool.parallel_for(tasks, flops, [&](std::size_t n, std::size_t) {
    const std::size_t p = n / column_tasks * kPanelsPerTask;
    const std::size_t t = tiles.begin + n % column_tasks * per_task;
    task(fn, {p, std::min(p + kPanelsPerTask, panels.count)}, {t, std::min(t + per_task, tiles.end)});
  });
}

}  // namespace headwise
