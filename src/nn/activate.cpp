#include "nn/activate.hpp"

#include <algorithm>

#include "kernels/vectors.hpp"

namespace headwise {
namespace {

constexpr std::size_t kElementsPerTask = 4096;  // a multiple of any vector
constexpr double kFlops = 30.0;                 // of an element, about

// Calls fn(n, part, activations) for each vector of `count` elements, in parallel.
template <class Fn>
void for_each_element(std::size_t count, ThreadPool& pool, const Fn& fn) {
  const std::size_t tasks = (count + kElementsPerTask - 1) / kElementsPerTask;
  pool.parallel_for(tasks, kFlops * static_cast<double>(count), [&](std::size_t task, std::size_t) {
    const simd::Activations activations;
    const std::size_t first = task * kElementsPerTask;
    simd::for_each_vector(std::min(kElementsPerTask, count - first),
                          [&](std::size_t n, auto part) { fn(first + n, part, activations); });
  });
}

}  // namespace

void activate(Activation kind, const float* x, const float* gated, std::size_t count, float* out,
              ThreadPool& pool) noexcept {
  simd::with_activation(kind, [&](const auto& f, const auto&) {
    for_each_element(count, pool, [&](std::size_t n, auto part, const simd::Activations& of) {
      const simd::Vec value = f(of, simd::load(x + n, part));
      simd::store(out + n, gated == nullptr ? value : value * simd::load(gated + n, part), part);
    });
  });
}

void activate_backward(Activation kind, float* x, float* gated, const float* gradient, std::size_t count,
                       ThreadPool& pool) noexcept {
  simd::with_activation(kind, [&](const auto& f, const auto& slope) {
    for_each_element(count, pool, [&](std::size_t n, auto part, const simd::Activations& of) {
      const simd::Vec g = simd::load(gradient + n, part), at = simd::load(x + n, part);
      if (gated == nullptr) return simd::store(x + n, g * slope(of, at), part);
      simd::store(x + n, g * simd::load(gated + n, part) * slope(of, at), part);
      simd::store(gated + n, g * f(of, at), part);
    });
  });
}

}  // namespace headwise
