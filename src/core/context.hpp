// State that all calls of an instance share. Only one call runs at a time.
#pragma once

#include "core/arena.hpp"
#include "core/thread_pool.hpp"

namespace headwise {

struct Context {
  ThreadPool pool;
  Arena arena;
  AlignedBuffer quantized;  // rows that linear layers with int8 weights read, as integers (nn/linear.cpp)
  std::size_t tile_rows =
      6;  // rows of a full tile, 6 or 4: which one is faster depends on the engine (kernels/tile.hpp)
};

}  // namespace headwise
