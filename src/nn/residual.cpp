#include "nn/residual.hpp"

#include <algorithm>

#include "kernels/vectors.hpp"

namespace headwise {
namespace {

constexpr std::size_t kElementsPerTask = 4096;  // a multiple of any vector

template <class Fn>
void for_each_chunk(std::size_t count, ThreadPool& pool, const Fn& fn) {
  const std::size_t tasks = (count + kElementsPerTask - 1) / kElementsPerTask;
  pool.parallel_for(tasks, 4.0 * static_cast<double>(count), [&](std::size_t task, std::size_t) {
    const std::size_t first = task * kElementsPerTask;
    fn(task, first, std::min(kElementsPerTask, count - first));
  });
}

}  // namespace

void add(const float* a, const float* b, float* out, std::size_t count, ThreadPool& pool) noexcept {
  for_each_chunk(count, pool, [&](std::size_t, std::size_t first, std::size_t some) {
    simd::for_each_vector(some, [&](std::size_t n, auto part) {
      n += first;
      simd::store(out + n, simd::load(a + n, part) + simd::load(b + n, part), part);
    });
  });
}

void drop(const Dropout& dropout, float* x, std::size_t count, ThreadPool& pool) noexcept {
  if (dropout.rate == 0.0f) return;
  for_each_chunk(count, pool, [&](std::size_t task, std::size_t first, std::size_t some) {
    DropoutRow(dropout, 0, 0, task).apply(x + first, 0, simd::round_up(some, simd::kLanes), dropout.scale());
  });
}

}  // namespace headwise
