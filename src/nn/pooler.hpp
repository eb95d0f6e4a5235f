// One vector of each sequence, and a linear layer on it: classes, or the projection into a shared space (CLIP).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "nn/batch.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/transformer_config.hpp"

namespace headwise {

class Pooler {
 public:
  // What a pass computes on; in training, until the backward pass.
  struct Saved {
    float* row;       // [B, E], hidden states of the rows that are pooled
    float* dense;     // [B, E], behind the linear layer
    float* active;    // [B, E], behind the activation
    float* pooled;    // [B, E]
    float* classes;   // [B, K], then their gradient
    float* gradient;  // [B, E]
  };

  Status create(const TransformerConfig& config);

  bool exists() const { return kind_ != Pooling::kNone; }
  std::size_t classes() const { return classifier_.outputs(); }  // K

  Saved take(const Batch& batch, bool training, Arena& arena) const;
  // hidden: [B, L, E]
  void forward(const Batch& batch, const float* hidden, const Saved& saved, Context& context) const noexcept;
  // Floats of the context's arena that backward takes.
  std::uint64_t backward_scratch(const Batch& batch, std::size_t threads) const;
  // From saved.classes, the gradient of the classes; adds to grad_hidden: [B, L, E].
  void backward(const Batch& batch, const Saved& saved, bool learn, float* grad_hidden, Context& context) noexcept;

  // Calls fn(Linear) or fn(ParameterBuffer) for everything that is learned, in a fixed order.
  template <class Fn>
  void visit(const Fn& fn) {
    if (dense_.outputs() > 0) fn(dense_);
    norm_.visit(fn);
    if (classes() > 0) fn(classifier_);
  }

 private:
  bool has_dense() const { return kind_ == Pooling::kDense || kind_ == Pooling::kDenseNorm; }

  Pooling kind_ = Pooling::kNone;
  Activation activation_ = Activation::kTanh;
  std::size_t E_ = 0;
  Linear dense_;  // [E, E]
  Norm norm_;
  Linear classifier_;  // [K, E]
};

}  // namespace headwise
