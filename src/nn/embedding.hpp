// Tokens and their positions as vectors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"
#include "core/context.hpp"
#include "nn/linear.hpp"
#include "nn/parameter_buffer.hpp"

namespace headwise {

// Rotary embedding and ALiBi are part of attention: the embedding adds nothing for them.
enum class Positions : int { kNone = 0, kLearned = 1, kSinusoidal = 2, kRotary = 3, kAlibi = 4 };

class Embedding {
 public:
  // All zeros, except sinusoidal positions (Vaswani et al. 2017, 3.5): numbers 2k and 2k + 1 are the sine and the
  // cosine of position / 10000^(2k / E). With these, embeddings are multiplied by sqrt(E), as in the paper (3.4).
  Status create(std::size_t vocab_size, std::size_t context_length, std::size_t E, Positions positions);
  // Makes what `forward` needs for positions below `length`: a model may name a context longer than memory could hold.
  Status prepare(std::size_t length, Context& context);

  // out[b, i] = scale * embedding[tokens[b, i]] + position[first + i].   tokens: [B, L], out: [B, L, E]
  void forward(const std::int32_t* tokens, std::size_t B, std::size_t L, std::size_t first, float* out,
               ThreadPool& pool) const noexcept;
  // Adds grad_out, [B, L, E], to the gradients.
  void backward(const std::int32_t* tokens, std::size_t B, std::size_t L, const float* grad_out,
                ThreadPool& pool) noexcept;

  // [V, E], packed as a linear layer's: tied, it is the output's matrix as well.
  Linear& tokens() { return tokens_; }
  const Linear& tokens() const { return tokens_; }

  // Calls fn(Linear) or fn(ParameterBuffer) for each that is learned.
  template <class Fn>
  void visit(const Fn& fn) {
    fn(tokens_);
    if (kind_ == Positions::kLearned) fn(positions_);
  }

 private:
  Positions kind_ = Positions::kNone;
  std::size_t E_ = 0;
  float scale_ = 1.0f;
  Linear tokens_;
  ParameterBuffer positions_;  // [context length, E], learned
  AlignedBuffer sinusoids_;    // [sinusoid_rows_, E]: as many positions as there have been
  std::size_t sinusoid_rows_ = 0;
};

}  // namespace headwise
