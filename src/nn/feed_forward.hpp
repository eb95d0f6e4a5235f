// The feed-forward part of a transformer's layer: W_down f(W_up x), or gated W_down (f(W_gate x) * W_up x)
// (Shazeer 2020).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "nn/activate.hpp"
#include "nn/linear.hpp"

namespace headwise {

class FeedForward {
 public:
  // What backward needs of forward, [rows, F] each; gate: null without one.
  struct Hidden {
    float* up;
    float* gate;
    float* active;
  };

  Status create(std::size_t E, std::size_t F, Activation activation, bool gated, bool bias, WeightFormat format);

  bool gated() const { return gated_; }

  // x, out: [rows, E]
  void forward(const float* x, std::size_t rows, const Hidden& hidden, float* out, Context& context) const noexcept;
  // Floats of scratch that backward takes.
  std::uint64_t backward_scratch(std::size_t threads) const;
  // Adds to the gradients where it is to `learn`; grad_x, [rows, E]: written, or with `add`, added to. Uses `hidden`
  // up.
  void backward(const float* x, const Hidden& hidden, const float* grad_out, std::size_t rows, float* grad_x, bool add,
                float* grad_active, bool learn, float* scratch, Context& context) noexcept;

  Linear& down() { return down_; }

  // Calls fn(Linear) for each that there is.
  template <class Fn>
  void visit(const Fn& fn) {
    fn(up_);
    if (gated_) fn(gate_);
    fn(down_);
  }

 private:
  Activation activation_ = Activation::kGelu;
  bool gated_ = false;
  Linear up_, gate_, down_;  // [F, E], [F, E], [E, F]
};

}  // namespace headwise
