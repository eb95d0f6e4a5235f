// How a product with a packed matrix is shared among threads.
#pragma once

#include "core/thread_pool.hpp"
#include "kernels/gemm.hpp"

namespace headwise {

using TileTask = void (*)(const void* fn, Range panels, Range tiles);

void share_tiles(const RowPanels& panels, Range tiles, std::size_t depth, ThreadPool& pool, TileTask task,
                 const void* fn);

// Calls fn(panels, tiles) for parts of all row panels and of a range of tiles, on the threads of the pool. depth: of
// the product.
template <class Fn>
void share_tiles(const RowPanels& panels, Range tiles, std::size_t depth, ThreadPool& pool, const Fn& fn) {
  const auto call = [](const void* context, Range p, Range t) { (*static_cast<const Fn*>(context))(p, t); };
  share_tiles(panels, tiles, depth, pool, call, &fn);
}

}  // namespace headwise
