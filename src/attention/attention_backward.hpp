// The gradient of scaled dot-product attention. Probabilities are computed again, a few rows at a time, so memory is
// O(L + S) (as in FlashAttention, Dao et al. 2022).
#pragma once

#include "attention/scaled_dot_product.hpp"

namespace headwise {

struct AttentionGradients {
  HeadView<const float> output;    // of the output, before gates: [B, H, L, Dv]
  const float* weights = nullptr;  // of the probabilities (before dropout): [B, H, L, S]; null: zeros
  // Results: the gradients of q, k and v.
  HeadView<float> query;  // [B, H, L, D]
  HeadView<float> key;    // [B, G, S, D]
  HeadView<float> value;  // [B, G, S, Dv]
};

// The scratch of the backward pass.
float* take_attention_backward_scratch(const AttentionShape& shape, std::size_t threads, Arena& arena);

// args: those of the forward pass; output, weights and gates are not read. A query row whose gradients are all zeros
// adds nothing, even if its query is NaN. It adds nothing to keys and values that it does not see.
void attention_backward(const AttentionArgs& args, const AttentionGradients& gradients, float* scratch,
                        Context& context) noexcept;

}  // namespace headwise
