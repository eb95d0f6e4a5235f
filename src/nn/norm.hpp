// Layer norm or RMS norm of rows, with its parameters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/thread_pool.hpp"
#include "nn/parameter_buffer.hpp"

namespace headwise {

enum class NormKind : int {
  kLayer = 0,  // weight and bias
  kRms = 1,    // weight alone
};

class Norm {
 public:
  // Weights start as ones, biases as zeros.
  Status create(NormKind kind, float epsilon, std::size_t E);

  // x, out: [rows, E]
  void forward(const float* x, std::size_t rows, float* out, ThreadPool& pool) const noexcept;
  // Floats of scratch that backward takes.
  std::uint64_t backward_scratch(std::size_t rows) const;
  // Adds to the gradients and to grad_x: [rows, E].
  void backward(const float* x, const float* grad_out, std::size_t rows, float* grad_x, float* scratch,
                ThreadPool& pool) noexcept;

  // Calls fn(ParameterBuffer) for each that there is.
  template <class Fn>
  void visit(const Fn& fn) {
    fn(weight_);
    if (centred()) fn(bias_);
  }

 private:
  bool centred() const { return kind_ == NormKind::kLayer; }

  NormKind kind_ = NormKind::kLayer;
  float epsilon_ = 0.0f;
  std::size_t E_ = 0;
  ParameterBuffer weight_, bias_;  // [E]
};

}  // namespace headwise
