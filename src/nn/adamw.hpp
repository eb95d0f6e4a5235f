// The optimizer AdamW (Loshchilov & Hutter 2019).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"
#include "core/arena.hpp"
#include "core/thread_pool.hpp"
#include "nn/parameter.hpp"

namespace headwise {

// The constants of a step, the same for all elements.
struct AdamWStep {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float correction1, correction2;  // 1 - beta^steps: the moments start from 0
  float gradient_scale;            // factor of the gradients, applied first: clipping
};

// The sum of squares of gradient[0 … count), in double, always in the same order.
double sum_of_squares(const float* gradient, std::size_t count, ThreadPool& pool) noexcept;

// value, moments: [count]. m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// value -= lr (m / c1 / (sqrt(v / c2) + epsilon) + decay value)
void adamw_update(const AdamWStep& step, const Parameter& parameter, float* first, float* second,
                  ThreadPool& pool) noexcept;

// The moments of one module's parameters: running means of gradients and of their squares.
class Moments {
 public:
  // Module: anything with for_each_parameter.
  template <class Module>
  Status create(Module& module) {
    std::uint64_t floats = 0;
    module.for_each_parameter([&](const Parameter& parameter) { floats += 2 * Arena::padded(parameter.count); });
    HEADWISE_RETURN_IF_ERROR(buffer_.reserve(floats));
    std::fill_n(buffer_.data(), static_cast<std::size_t>(floats), 0.0f);
    return Status::kOk;
  }

  template <class Module>
  void update(const AdamWStep& step, Module& module, ThreadPool& pool) noexcept {
    float* at = buffer_.data();
    module.for_each_parameter([&](const Parameter& parameter) {
      const auto floats = static_cast<std::size_t>(Arena::padded(parameter.count));
      adamw_update(step, parameter, at, at + floats, pool);
      at += 2 * floats;
    });
  }

 private:
  AlignedBuffer buffer_;
};

}  // namespace headwise
