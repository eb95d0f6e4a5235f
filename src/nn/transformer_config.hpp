// What a transformer is made of: independent choices. A published family of models is a set of these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/rotary.hpp"
#include "attention/visibility.hpp"
#include "kernels/activation.hpp"
#include "nn/norm.hpp"
#include "nn/weights.hpp"

namespace headwise {

// More letters: V tokens in the vocabulary, C positions, F width of the feed-forward layers, N layers, T = B * L rows.

// Rotary embedding and ALiBi are attention's: nothing is added to the embeddings.
enum class Positions : int { kNone = 0, kLearned = 1, kSinusoidal = 2, kRotary = 3, kAlibi = 4 };

// What becomes of one row of a sequence's hidden states.
enum class Pooling : int {
  kNone = 0,       // nothing
  kRow = 1,        // it stays
  kNorm = 2,       // a norm
  kDense = 3,      // a linear layer and an activation
  kDenseNorm = 4,  // and then a norm
};

// Of one layer.
struct LayerConfig {
  Window window;
  Rotary rotary;      // dim 0: none
  bool norm1 = true;  // whether there is a norm before the attention, where the model has them
};

struct TransformerConfig {
  std::size_t vocab_size, context_length, layers, embed_dim;  // V, C, N, E; V 0: patches instead of tokens
  std::size_t num_heads, num_kv_heads, head_dim;              // of each layer, before any is pruned
  std::size_t feed_forward_dim;                               // F; 0: attention only
  bool causal;
  float dropout;  // of attention probabilities and of what is added to the residual stream, in training
  std::uint32_t seed;

  // Norms. Each sublayer f adds to the residual stream x: x = after_sum(x + after(f(before(x)))).
  NormConfig norm;
  bool norm_before, norm_after, norm_after_sum;
  bool parallel;     // the feed-forward reads the same stream as the attention, not the one after it
  bool shared_norm;  // and the same norm's output
  bool embedding_norm, final_norm;
  bool query_key_norm;  // RMS norm of each head's queries and keys, before the rotary embedding

  // Linear layers.
  bool qkv_bias, out_bias, feed_forward_bias;
  Activation activation;
  bool gated;

  // Attention.
  Positions positions;
  float scale, softcap;                        // of the scores; softcap 0: none
  const LayerConfig* layer_configs = nullptr;  // [N], read by `create`

  // Embeddings.
  float embedding_scale;
  std::size_t token_types;                 // 0: none
  std::size_t patch_dim, register_tokens;  // patch_dim: numbers of a patch; 0: tokens
  bool patch_bias, class_token;

  // What is read out of the last hidden states.
  bool head;                       // logits of tokens
  bool tie_embeddings;             // the head's matrix is that of the embedding
  bool head_bias, head_transform;  // head_transform: a linear layer, the activation and a norm before the matrix
  float logit_softcap;             // 0: none
  Pooling pooling;
  Activation pooler_activation;
  std::size_t classes;  // outputs of a linear layer on the pooled row; 0: none
  bool class_bias;
  bool readout_bias;  // of the linear layers of head_transform and pooler

  WeightFormat weight_format = WeightFormat::kF32;  // of all matrices that are multiplied, the tokens' among them
};

}  // namespace headwise
