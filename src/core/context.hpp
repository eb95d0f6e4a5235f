// What an instance shares between its calls: one pool of threads, one scratch arena. Calls take turns.
#pragma once

#include "core/arena.hpp"
#include "core/thread_pool.hpp"

namespace headwise {

struct Context {
  ThreadPool pool;
  Arena arena;
};

}  // namespace headwise
