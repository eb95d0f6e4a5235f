// A linear layer, out = x W^T + b, with its weights packed once when they are set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"
#include "core/context.hpp"
#include "kernels/gemm.hpp"
#include "kernels/pack.hpp"
#include "nn/parameter.hpp"

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
  void forward(const float* x, std::size_t rows, float* out, Context& context) const noexcept {
    forward_outputs({0, outputs_}, x, rows, out, context);
  }
  // The same, writing at least the outputs of a range; others may be written or not.
  void forward_outputs(Range outputs, const float* x, std::size_t rows, float* out, Context& context) const noexcept;
  // The same, as if the inputs outside of a range were zeros. Starts from the bias, or adds to `out`.
  void forward_inputs(Range inputs, bool add, const float* x, std::size_t rows, float* out,
                      Context& context) const noexcept;

  // Training. Gradients start as zeros, and accumulate. Room for them is made once.
  Status enable_gradients();
  void release_gradients() noexcept;
  void zero_gradients() noexcept;
  float* weight_gradient() { return weight_gradient_.data(); }  // packed, as the weight
  // Calls fn(Parameter) for the weight and, if there is one, the bias.
  template <class Fn>
  void for_each_parameter(const Fn& fn) {
    fn(Parameter{weight_.data(), weight_gradient_.data(), weight_size(), true, outputs_, inputs_});
    if (has_bias_) fn(Parameter{bias_.data(), bias_gradient_.data(), outputs_, false});
  }

  // Floats of scratch that backward takes.
  std::uint64_t backward_scratch(std::size_t threads) const;
  // Of forward(x): grad_x = grad_out W, or with `add`, += it; where parameters are to `learn`, adds grad_out^T x and
  // the columns' sums of grad_out to their gradients. Rows whose gradient is all zeros add nothing, whatever x holds
  // there. x: [rows, inputs], grad_out: [rows, outputs], grad_x: [rows, inputs] or null
  void backward(const float* x, const float* grad_out, std::size_t rows, float* grad_x, bool add, bool learn,
                float* scratch, Context& context) noexcept;

  // W^T of the inputs [first, first + count) alone: [count, outputs], packed.
  PackedMatrix input_slice(std::size_t first, std::size_t count) const {
    return {weight_.data() + first * simd::kTile, outputs_, count, inputs_ * simd::kTile};
  }

 private:
  // out = start + x times some tiles of a packed matrix; x: rows of stride x_row, out: contiguous
  void multiply(const float* x, std::size_t x_row, std::size_t rows, const PackedMatrix& matrix, Range tiles,
                Start start, float* out, Context& context) const noexcept;
  void add_weight_gradient(const float* x, const float* grad_out, std::size_t rows, float* scratch,
                           Context& context) noexcept;
  void input_gradient(const float* grad_out, std::size_t rows, float* grad_x, bool add, float* scratch,
                      Context& context) const noexcept;
  std::size_t weight_size() const { return static_cast<std::size_t>(packed_size(outputs_, inputs_)); }

  std::size_t inputs_ = 0, outputs_ = 0;
  bool has_bias_ = false;
  AlignedBuffer weight_, weight_gradient_;  // [outputs / 8][inputs][8]
  AlignedBuffer bias_, bias_gradient_;      // [outputs]
};

}  // namespace headwise
