// Scaled dot-product attention over heads: softmax(softcap(scale * Q K^T) + biases) V
// (Vaswani et al. 2017, section 3.2.1; ONNX Attention).
#pragma once

#include <cstdint>

#include "attention/attention_shape.hpp"
#include "attention/visibility.hpp"
#include "core/context.hpp"
#include "core/shape.hpp"
#include "core/status.hpp"
#include "kernels/dropout.hpp"

namespace headwise {

// The stage at which weights are returned. A row passes scores, capped, masked, probabilities.
enum class WeightsStage : int {
  kProbabilities = 0,  // after the softmax, before the gates
  kScores = 1,         // scale * q . k, of all keys
  kCapped = 2,         // after the softcap
  kMasked = 3,         // with ALiBi and the mask added, -inf where masked
};

struct AttentionArgs {
  AttentionShape shape;
  HeadView<const float> query;  // q: [B, H, L, D]
  HeadView<const float> key;    // k: [B, G, S, D]
  HeadView<const float> value;  // v: [B, G, S, Dv]
  HeadView<float> output;       // [B, H, L, Dv]
  float* weights = nullptr;     // [B, H, L, S] or null
  WeightsStage stage = WeightsStage::kProbabilities;
  Visibility visibility;
  KvHeads kv_heads;
  float scale = 1.0f;
  float softcap = 0.0f;           // scores become softcap * tanh(scores / softcap); 0: no softcap
  const float* slopes = nullptr;  // [H] ALiBi (Press et al. 2022): -slope * |position(i) - j| is added; null: none
  Dropout dropout;                // of the probabilities; `weights` are those before dropout
  const float* gates = nullptr;   // [H] factors of the heads' outputs; null: all 1. A head with gate 0 is skipped
};

// The scratch of attention.
struct AttentionScratch {
  float* scores;      // [threads], each: score rows of a panel and a row of the mask
  float* packed;      // packed keys and values of some key/value heads; null if heads have few queries
  float* all_finite;  // whether these heads' values are finite, 1 or 0
};
AttentionScratch take_attention_scratch(const AttentionShape& shape, std::size_t threads, Arena& arena);

// einsum: "bhid,bhjd->bhij", then "bhij,bhjd->bhid"
void attention(const AttentionArgs& args, const AttentionScratch& scratch, Context& context) noexcept;
// With scratch in the context's arena.
Status attention(const AttentionArgs& args, Context& context);

}  // namespace headwise
