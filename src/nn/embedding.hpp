// The residual stream's beginning: what a model reads, as vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

#include "core/aligned_buffer.hpp"
#include "core/context.hpp"
#include "nn/batch.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/parameter_buffer.hpp"
#include "nn/transformer_config.hpp"

namespace headwise {

class Embedding {
 public:
  // What a pass computes on; in training, until the backward pass.
  struct Saved {
    float* patches;  // [B, P, E], patches as vectors, then their gradient
    float* sum;      // [T, E], what the norm reads; where nothing must be kept, the stream itself
  };

  // All zeros, norms apart.
  Status create(const TransformerConfig& config);
  // Makes the sinusoidal positions (Vaswani et al. 2017, 3.5: sin and cos of position / 10000^(2k / E) alternate) that
  // a batch needs: a model may name a context longer than memory could hold.
  Status prepare(const Batch& batch, Context& context);

  // Rows before the patches: class and register tokens.
  std::size_t special_rows() const { return class_.count() / E_ + registers_.count() / E_; }

  // Everything normal; biases, where patches have some, stay zeros.   scratch: as large as the largest matrix
  void initialize(float* scratch, std::mt19937& generator);

  Saved take(const Batch& batch, bool training, float* stream, Arena& arena) const;
  // stream[b, i] = norm(scale * embedding[tokens[b, i]] + position[b, i] + token_type[b, i])   stream: [B, L, E]
  void forward(const Batch& batch, const Saved& saved, float* stream, Context& context) const noexcept;
  std::uint64_t backward_scratch(const Batch& batch, std::size_t threads) const;
  // Of the stream's gradient, [B, L, E], which is used up; sum_gradient: [B, L, E], where there is a norm.
  void backward(const Batch& batch, const Saved& saved, float* gradient, float* sum_gradient,
                Context& context) noexcept;

  // [V, E], packed as a linear layer's: tied, it is the head's matrix as well.
  Linear& tokens() { return tokens_; }

  // Calls fn(Linear) or fn(ParameterBuffer) for each that is learned.
  template <class Fn>
  void visit(const Fn& fn) {
    if (tokens_.outputs() > 0) fn(tokens_);
    if (kind_ == Positions::kLearned) fn(positions_);
    if (types_.count() > 0) fn(types_);
    if (patch_.outputs() > 0) fn(patch_);
    if (class_.count() > 0) fn(class_);
    if (registers_.count() > 0) fn(registers_);
    norm_.visit(fn);
  }

 private:
  // The table's row of a row of the batch; none where positions are attention's, and of register tokens.
  std::size_t position_of(const Batch& batch, std::size_t row) const noexcept;

  std::size_t E_ = 0;
  float scale_ = 1.0f;
  Positions kind_ = Positions::kNone;
  Linear tokens_;              // [V, E]
  ParameterBuffer positions_;  // [C, E], learned
  AlignedBuffer sinusoids_;    // [sinusoid_rows_, E]: as many positions as there have been
  std::size_t sinusoid_rows_ = 0;
  ParameterBuffer types_;      // [token types, E]
  Linear patch_;               // [E, patch_dim]
  ParameterBuffer class_;      // [E]
  ParameterBuffer registers_;  // [register tokens, E]
  Norm norm_;
};

}  // namespace headwise
