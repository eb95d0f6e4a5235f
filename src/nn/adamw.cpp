#include "nn/adamw.hpp"

#include <algorithm>

#include "kernels/vectors.hpp"

namespace headwise {
namespace {

constexpr std::size_t kElementsPerTask = 8192;  // a multiple of any vector

std::size_t tasks_of(std::size_t count) { return (count + kElementsPerTask - 1) / kElementsPerTask; }

}  // namespace

double sum_of_squares(const float* gradient, std::size_t count, ThreadPool& pool) noexcept {
  constexpr std::size_t kTasks = 64;
  double sums[kTasks];
  const std::size_t each = (count + kTasks - 1) / kTasks;
  pool.parallel_for(kTasks, 2.0 * static_cast<double>(count), [&](std::size_t task, std::size_t) {
    const std::size_t end = std::min((task + 1) * each, count);
    double chain[4] = {};  // one chain alone waits for its own sums
    std::size_t n = std::min(task * each, count);
    for (; n + 4 <= end; n += 4) {
      for (std::size_t c = 0; c < 4; ++c) chain[c] += static_cast<double>(gradient[n + c]) * gradient[n + c];
    }
    for (; n < end; ++n) chain[0] += static_cast<double>(gradient[n]) * gradient[n];
    sums[task] = chain[0] + chain[1] + chain[2] + chain[3];
  });
  double sum = 0.0;
  for (const double part : sums) sum += part;
  return sum;
}

void adamw_update(const AdamWStep& step, const Parameter& parameter, float* first, float* second,
                  ThreadPool& pool) noexcept {
  const std::size_t count = parameter.count;
  pool.parallel_for(tasks_of(count), 20.0 * static_cast<double>(count), [&](std::size_t task, std::size_t) {
    const std::size_t begin = task * kElementsPerTask;
    float* value = parameter.value + begin;
    const float* gradient = parameter.gradient + begin;
    float *m = first + begin, *v = second + begin;
    const simd::Vec scale = simd::splat(step.gradient_scale), epsilon = simd::splat(step.epsilon);
    const simd::Vec beta1 = simd::splat(step.beta1), rest1 = simd::splat(1.0f - step.beta1);
    const simd::Vec beta2 = simd::splat(step.beta2), rest2 = simd::splat(1.0f - step.beta2);
    const simd::Vec rate = simd::splat(step.learning_rate / step.correction1);
    const simd::Vec inverse2 = simd::splat(1.0f / step.correction2);
    const simd::Vec kept = simd::splat(parameter.decay ? 1.0f - step.learning_rate * step.weight_decay : 1.0f);
    simd::for_each_vector(std::min(kElementsPerTask, count - begin), [&](std::size_t n, auto part) {
      const simd::Vec g = simd::load(gradient + n, part) * scale;
      const simd::Vec m_n = simd::fma(beta1, simd::load(m + n, part), rest1 * g);
      const simd::Vec v_n = simd::fma(beta2, simd::load(v + n, part), rest2 * g * g);
      simd::store(m + n, m_n, part);
      simd::store(v + n, v_n, part);
      const simd::Vec change = rate * m_n / (simd::sqrt(v_n * inverse2) + epsilon);
      simd::store(value + n, simd::load(value + n, part) * kept - change, part);
    });
  });
}

}  // namespace headwise
