// Logits of the vocabulary's tokens from hidden states.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/parameter_buffer.hpp"
#include "nn/transformer_config.hpp"

namespace headwise {

class LanguageHead {
 public:
  // What a pass over R rows computes on; in training, until the backward pass.
  struct Saved {
    float* dense;     // [R, E], behind the transform's linear layer
    float* active;    // [R, E], behind its activation
    float* normed;    // [R, E], behind its norm
    float* slopes;    // [R, V], of the softcap
    float* gradient;  // [R, E], of `normed`
  };

  Status create(const TransformerConfig& config);

  Saved take(std::size_t rows, bool training, Arena& arena) const;
  // logits = softcap(transform(x) W^T + b), W being `tokens`, the embedding's matrix, where embeddings are tied.
  // x: [R, E], logits: [R, V]
  void forward(const float* x, std::size_t rows, const Linear& tokens, const Saved& saved, float* logits,
               Context& context) const noexcept;
  // Floats of the context's arena that backward takes.
  std::uint64_t backward_scratch(std::size_t rows, const Linear& tokens, std::size_t threads) const;
  // gradient: [R, V], of the logits, which is used up; writes grad_x: [R, E].
  void backward(const float* x, std::size_t rows, Linear& tokens, const Saved& saved, bool learn, float* gradient,
                float* grad_x, Context& context) noexcept;
  // The same of `share` times the logit of answer[r] less that of against[r] (null: less nothing), in each row r. It
  // reads only these tokens' rows of the matrix, and learns nothing. x: [R, E], answer and against: [R]; writes grad_x:
  // [R, E], which may be x.
  void backward_difference(const float* x, std::size_t rows, const Linear& tokens, const Saved& saved,
                           const std::int32_t* answer, const std::int32_t* against, float share, float* grad_x,
                           Context& context) noexcept;

  // Calls fn(Linear) or fn(ParameterBuffer) for everything that is learned, in a fixed order.
  template <class Fn>
  void visit(const Fn& fn) {
    if (has_transform()) fn(dense_);
    norm_.visit(fn);
    if (matrix_.outputs() > 0) fn(matrix_);
    if (bias_.count() > 0) fn(bias_);
  }

 private:
  // From saved.gradient to grad_x.
  void backward_transform(const float* x, std::size_t rows, const Saved& saved, bool learn, float* grad_x,
                          Context& context) noexcept;
  bool has_transform() const { return norm_.exists(); }
  const Linear& matrix(const Linear& tokens) const { return tied_ ? tokens : matrix_; }

  bool tied_ = true;
  float softcap_ = 0.0f;  // 0: none
  Activation activation_ = Activation::kGelu;
  std::size_t E_ = 0, V_ = 0;
  Linear dense_;  // [E, E]
  Norm norm_;
  Linear matrix_;         // [V, E], where embeddings are not tied
  ParameterBuffer bias_;  // [V]
};

}  // namespace headwise
