// A parameter that is not packed, unlike the matrices of linear layers.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/aligned_buffer.hpp"
#include "nn/parameter.hpp"

namespace headwise {

class ParameterBuffer {
 public:
  Status create(std::size_t count, bool decay, float start) {
    count_ = count;
    decay_ = decay;
    HEADWISE_RETURN_IF_ERROR(value_.reserve(count));
    std::fill_n(value_.data(), count, start);
    return Status::kOk;
  }

  // Allocates zeros, once.
  Status enable_gradients() {
    if (gradient_.data() != nullptr) return Status::kOk;
    HEADWISE_RETURN_IF_ERROR(gradient_.reserve(count_));
    zero_gradients();
    return Status::kOk;
  }

  std::size_t count() const { return count_; }
  float* value() { return value_.data(); }
  const float* value() const { return value_.data(); }
  float* gradient() { return gradient_.data(); }

  // As linear layers have it.
  template <class Fn>
  void for_each_parameter(const Fn& fn) {
    fn(Parameter{value_.data(), gradient_.data(), count_, decay_});
  }
  void zero_gradients() noexcept {
    if (gradient_.data() != nullptr) std::fill_n(gradient_.data(), count_, 0.0f);
  }

 private:
  std::size_t count_ = 0;
  bool decay_ = false;
  AlignedBuffer value_, gradient_;
};

}  // namespace headwise
