// A transformer that reads tokens and computes how likely each token is next. Its layers add the outputs of attention
// and feed-forward to the residual stream, each after a norm (Vaswani et al. 2017; pre-norm: Xiong et al. 2020).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/context.hpp"
#include "nn/cross_entropy.hpp"
#include "nn/embedding.hpp"
#include "nn/feed_forward.hpp"
#include "nn/multi_head_attention.hpp"
#include "nn/norm.hpp"

namespace headwise {

// More letters: V tokens in the vocabulary, C tokens of context, F width of the feed-forward layers, N layers.
struct TransformerConfig {
  std::size_t vocab_size, context_length, layers, embed_dim;  // V, C, N, E
  std::size_t num_heads, num_kv_heads, head_dim;              // of each layer, before any is pruned
  std::size_t feed_forward_dim;                               // F; 0: attention only
  NormKind norm;                                              // linear layers have biases with kLayer alone
  float norm_epsilon;
  Activation activation;
  Positions positions;
  std::size_t rope_dim;  // with Positions::kRotary, as in MultiHeadAttentionConfig
  float rope_base;
  bool rope_interleaved;
  bool causal, tie_embeddings;
  float dropout;  // of attention probabilities and of what is added to the residual stream, in training
  std::uint32_t seed;
};

// What forward writes of one layer, beside the logits; null: nothing.
struct Capture {
  float* weights = nullptr;  // [B, H, L, L]
  WeightsStage stage = WeightsStage::kProbabilities;
  float* heads = nullptr;  // as head_output says
  HeadOutput head_output = HeadOutput::kNone;
};

// Tokens and their targets, [B, L] each. A target of kIgnored does not count.
struct TokenBatch {
  std::size_t B, L;
  const std::int32_t* tokens;
  const std::int32_t* targets = nullptr;
};

class Transformer {
 public:
  // The decode state: keys and values of one sequence, whose memory grows with it.
  struct Sequence {
    std::unique_ptr<KvCache[]> caches;  // [N]
    std::int32_t length = 0;            // tokens so far; the caller may set it to 0 to start anew
  };

  Transformer();
  ~Transformer();

  // Weights start as zeros.
  Status create(const TransformerConfig& config);
  // Has only the heads kept[…] of each layer, count[n] of layer n, one layer behind the other.
  Status create_kept(const TransformerConfig& config, const std::uint32_t* kept, const std::uint32_t* count);
  // From config.seed: embeddings and positions normal, matrices Xavier-uniform; those that write to the residual stream
  // are divided by sqrt(2 N), so that it does not grow with the layers (Radford et al. 2019).
  Status initialize(Context& context);
  // Makes `smaller` a copy with only the heads kept[…] of each layer, count[n] of layer n, one layer after the other.
  Status keep_heads(const std::uint32_t* kept, const std::uint32_t* count, Transformer& smaller, Context& context);

  const TransformerConfig& config() const { return config_; }
  MultiHeadAttention& attention(std::size_t layer) { return layers_[layer].attention; }

  // logits: [B, L, V]; captures: [N] or null
  Status forward(const TokenBatch& batch, const Capture* captures, float* logits, Context& context);
  Status evaluate(const TokenBatch& batch, Loss& loss, Context& context);
  // Adds to the gradients, which are zeroed before where they are to be `fresh`; with dropout. A failed call has
  // changed nothing.
  Status accumulate(const TokenBatch& batch, bool fresh, Loss& loss, Context& context);

  // Frees the memory that is kept between calls.
  void release_buffers();

  Status start_sequence(Sequence& sequence);
  // Appends tokens to those before; logits: [V], of the last one. A failed call has changed nothing.
  Status decode(Sequence& sequence, const std::int32_t* tokens, std::size_t count, float* logits, Context& context);

  Status enable_gradients();
  void zero_gradients() noexcept;
  template <class Fn>
  void for_each_parameter(const Fn& fn) {
    visit([&](auto& part) { part.for_each_parameter(fn); });
  }

 private:
  struct Layer {
    Norm norm1, norm2;
    MultiHeadAttention attention;
    AttentionTape tape;
    FeedForward feed_forward;
  };
  struct Saved;
  struct Workspace;

  // Calls fn(Linear) or fn(ParameterBuffer) for everything that has parameters, in a fixed order.
  template <class Fn>
  void visit(const Fn& fn) {
    embedding_.visit(fn);
    for (std::size_t n = 0; n < config_.layers; ++n) {
      Layer& layer = layers_[n];
      layer.norm1.visit(fn);
      for (std::size_t p = 0; p < MultiHeadAttention::kProjections; ++p) fn(layer.attention.projection(p));
      if (config_.feed_forward_dim == 0) continue;
      layer.norm2.visit(fn);
      layer.feed_forward.visit(fn);
    }
    norm_.visit(fn);
    if (!config_.tie_embeddings) fn(head_);
  }

  Status create_without_attention(const TransformerConfig& config);
  Linear& head() { return config_.tie_embeddings ? embedding_.tokens() : head_; }
  Workspace take_workspace(std::size_t rows, bool training, bool logits, Arena& arena);
  Status reserve(const TokenBatch& batch, bool training, bool logits, Workspace& workspace, Context& context);
  // Runs all layers and the last norm, whose output is written to workspace.normed: [rows, E].
  Status run(const TokenBatch& batch, bool training, Sequence* sequence, const Capture* captures,
             const Workspace& workspace, Context& context);
  Status measure(const TokenBatch& batch, bool training, Workspace& workspace, Loss& loss, Context& context);
  Status run_back(const TokenBatch& batch, const Workspace& workspace, Context& context);
  Status make_room(Sequence& sequence, std::size_t tokens);
  Dropout dropout(std::size_t place) const;

  TransformerConfig config_{};
  Embedding embedding_;
  std::unique_ptr<Layer[]> layers_;  // [N]
  Norm norm_;
  Linear head_;                     // [V, E] where embeddings are not tied
  std::unique_ptr<Saved[]> saved_;  // [N + 1]
  Arena activations_;               // kept from call to call
  std::uint32_t steps_ = 0;         // calls of accumulate: each draws a new dropout mask
};

}  // namespace headwise
