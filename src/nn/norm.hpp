// Layer norm or RMS norm of rows, with its parameters; or none, where a model has no norm in that place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/thread_pool.hpp"
#include "kernels/norm.hpp"
#include "nn/parameter_buffer.hpp"

namespace headwise {

enum class NormKind : int {
  kLayer = 0,  // subtracts the mean, divides by the standard deviation
  kRms = 1,    // divides by the root of the mean square
};

struct NormConfig {
  NormKind kind;
  bool bias;  // beside the weight
  float epsilon;
};

class Norm {
 public:
  // Weights start as ones, biases as zeros. Without `create` there is no norm.
  Status create(const NormConfig& config, std::size_t E);
  bool exists() const { return E_ > 0; }

  // Those of a norm of the same kind and width.
  void copy_parameters(const Norm& from) noexcept;

  // What each row is divided by: sqrt(mean square + epsilon), of a layer norm after the mean is subtracted.
  // x: [rows, E]; scales: [rows]
  void measure(const float* x, std::size_t rows, float* scales) const noexcept;
  // x, out: [rows, E], perhaps the same; scales: [rows], to divide by, or null: those of the rows
  void forward(const float* x, std::size_t rows, float* out, ThreadPool& pool,
               const float* scales = nullptr) const noexcept;
  // Floats of scratch that backward takes.
  std::uint64_t backward_scratch(std::size_t rows) const;
  // Adds to grad_x, [rows, E], and where gradients are enabled and it is to `learn`, to those of the parameters.
  void backward(const float* x, const float* grad_out, std::size_t rows, float* grad_x, bool learn, float* scratch,
                ThreadPool& pool) noexcept;

  // Calls fn(ParameterBuffer) for each that there is.
  template <class Fn>
  void visit(const Fn& fn) {
    if (!exists()) return;
    fn(weight_);
    if (config_.bias) fn(bias_);
  }

 private:
  bool centred() const { return config_.kind == NormKind::kLayer; }
  RowNorm row_norm_of(const float* row) const noexcept;

  NormConfig config_{};
  std::size_t E_ = 0;
  ParameterBuffer weight_, bias_;  // [E]
};

}  // namespace headwise
