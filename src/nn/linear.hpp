// A linear layer, out = x W^T + b, with its weights packed once when they are set.
#pragma once

#include <cstddef>

#include "core/aligned_buffer.hpp"
#include "core/thread_pool.hpp"
#include "kernels/gemm.hpp"

namespace headwise {

class Linear {
 public:
  // Weights and biases start as zeros.
  Status create(std::size_t inputs, std::size_t outputs, bool bias);

  std::size_t inputs() const { return inputs_; }
  std::size_t outputs() const { return outputs_; }
  bool has_bias() const { return has_bias_; }

  void set_weight(const float* weight) noexcept;  // weight: [outputs, inputs]
  void get_weight(float* weight) const noexcept;
  float* bias() { return has_bias_ ? bias_.data() : nullptr; }  // [outputs]
  const float* bias() const { return has_bias_ ? bias_.data() : nullptr; }

  // x: [rows, inputs] and out: [rows, outputs], contiguous.   "mk,nk->mn"
  void forward(const float* x, std::size_t rows, float* out, ThreadPool& pool) const noexcept {
    forward_outputs({0, outputs_}, x, rows, out, pool);
  }
  // The same, writing at least the outputs of a range; others may be written or left.
  void forward_outputs(Range outputs, const float* x, std::size_t rows, float* out, ThreadPool& pool) const noexcept;
  // The same, as if the inputs outside of a range were zeros. Starts from the bias, or adds to what is in `out`.
  void forward_inputs(Range inputs, bool add, const float* x, std::size_t rows, float* out,
                      ThreadPool& pool) const noexcept;

  // W^T of the inputs [first, first + count) alone: [count, outputs], packed.
  PackedMatrix input_slice(std::size_t first, std::size_t count) const {
    return {weight_.data() + first * simd::kTile, outputs_, count, inputs_ * simd::kTile};
  }

 private:
  void multiply(Range inputs, Range outputs, Start start, const float* x, std::size_t rows, float* out,
                ThreadPool& pool) const noexcept;

  std::size_t inputs_ = 0, outputs_ = 0;
  bool has_bias_ = false;
  AlignedBuffer weight_;  // [outputs / 8][inputs][8]
  AlignedBuffer bias_;    // [outputs]
};

}  // namespace headwise
