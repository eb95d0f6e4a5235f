// Scaled dot-product attention over heads: softmax(scale * Q K^T + mask) V
// (Vaswani et al. 2017, section 3.2.1; ONNX Attention).
#pragma once

#include <cstdint>

#include "attention/visibility.hpp"
#include "core/context.hpp"
#include "core/shape.hpp"
#include "core/status.hpp"

namespace headwise {

struct AttentionArgs {
  AttentionShape shape;
  HeadView<const float> query;  // q: [B, H, L, D]
  HeadView<const float> key;    // k: [B, H, S, D]
  HeadView<const float> value;  // v: [B, H, S, Dv]
  HeadView<float> output;       // [B, H, L, Dv]
  float* weights = nullptr;     // [B, H, L, S] attention probabilities before the gates, or null
  Visibility visibility;
  float scale = 1.0f;
  const float* gates = nullptr;  // [H] factors of the heads' outputs; null: all 1. A gate of 0 skips its head
};

// Floats of the arena that attention takes.
std::uint64_t attention_scratch(const AttentionShape& shape, std::size_t threads);

// The caller has reserved attention_scratch() in the context's arena. einsum: "bhid,bhjd->bhij", then "bhij,bhjd->bhid"
void attention(const AttentionArgs& args, Context& context) noexcept;

}  // namespace headwise
