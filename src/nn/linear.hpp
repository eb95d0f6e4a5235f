// A linear layer, out = x W^T + b, with its weights packed once when they are set, in any format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"
#include "core/context.hpp"
#include "kernels/gemm.hpp"
#include "nn/parameter.hpp"
#include "nn/weights.hpp"

namespace headwise {

class Linear {
 public:
  // Weights and biases start as zeros.
  Status create(std::size_t inputs, std::size_t outputs, bool bias, WeightFormat format = WeightFormat::kF32);
  // To be called before anything is computed with layers of a format: int8 needs room for integers.
  static Status make_room(WeightFormat format, Context& context);

  std::size_t inputs() const { return weight_.inputs(); }
  std::size_t outputs() const { return weight_.outputs(); }
  bool has_bias() const { return has_bias_; }

  Weights& weight() { return weight_; }  // [outputs, inputs]
  const Weights& weight() const { return weight_; }
  float* bias() { return has_bias_ ? bias_.data() : nullptr; }  // [outputs]
  const float* bias() const { return has_bias_ ? bias_.data() : nullptr; }
  void set_weight(const float* weight) noexcept { weight_.set_rows(0, outputs(), weight); }
  void get_weight(float* weight) const noexcept { weight_.get_rows(0, outputs(), weight); }
  // Becomes a part of a larger layer of the same format.
  void keep(const Linear& from, const Kept& kept_outputs, const Kept& kept_inputs) noexcept;

  // x: [rows, inputs] and out: [rows, outputs], contiguous.   "mk,nk->mn"
  void forward(const float* x, std::size_t rows, float* out, Context& context) const noexcept {
    forward_outputs({0, outputs()}, x, rows, out, context);
  }
  // The same, writing at least the outputs of a range; others may be written or not.
  void forward_outputs(Range outputs, const float* x, std::size_t rows, float* out, Context& context) const noexcept;
  // The same, as if the inputs outside of a range were zeros.
  void forward_inputs(Range inputs, Start start, const float* x, std::size_t rows, float* out,
                      Context& context) const noexcept;

  // Training. Gradients start as zeros, and accumulate. Room for them is made once. kNotF32: weights in another format
  // have none.
  Status enable_gradients();
  void release_gradients() noexcept;
  void zero_gradients() noexcept;
  float* weight_gradient() { return weight_gradient_.data(); }  // packed, as the weight
  // Calls fn(Parameter) for the weight and, if there is one, the bias.
  template <class Fn>
  void for_each_parameter(const Fn& fn) {
    fn(Parameter{weight_.floats(), weight_gradient_.data(), weight_.size(), true, &weight_});
    if (has_bias_) fn(Parameter{bias_.data(), bias_gradient_.data(), outputs(), false});
  }

  // Floats of scratch that backward takes.
  std::uint64_t backward_scratch(std::size_t threads) const;
  // Of forward(x): grad_x = grad_out W, or with `add`, += it; where parameters are to `learn`, adds grad_out^T x and
  // the columns' sums of grad_out to their gradients. Rows whose gradient is all zeros add nothing, whatever x holds
  // there. x: [rows, inputs], grad_out: [rows, outputs], grad_x: [rows, inputs] or null
  void backward(const float* x, const float* grad_out, std::size_t rows, float* grad_x, bool add, bool learn,
                float* scratch, Context& context) noexcept;

 private:
  // out = start + x[inputs] times some tiles of W^T
  void multiply(Range inputs, Range tiles, Start start, const float* x, std::size_t rows, float* out,
                Context& context) const noexcept;
  void multiply_int8(Range inputs, Range tiles, Start start, const float* x, std::size_t rows, float* out,
                     Context& context) const noexcept;
  void add_weight_gradient(const float* x, const float* grad_out, std::size_t rows, float* scratch,
                           Context& context) noexcept;
  void input_gradient(const float* grad_out, std::size_t rows, float* grad_x, bool add, float* scratch,
                      Context& context) const noexcept;

  bool has_bias_ = false;
  Weights weight_;
  AlignedBuffer weight_gradient_;       // as an F32 weight lies in memory
  AlignedBuffer bias_, bias_gradient_;  // [outputs]
};

}  // namespace headwise
