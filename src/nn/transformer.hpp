// A transformer: an embedding, layers that add to the residual stream, and what is read out of it (Vaswani et al.
// 2017).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/context.hpp"
#include "nn/batch.hpp"
#include "nn/block.hpp"
#include "nn/cross_entropy.hpp"
#include "nn/embedding.hpp"
#include "nn/language_head.hpp"
#include "nn/pooler.hpp"
#include "nn/transformer_config.hpp"

namespace headwise {

// The decode state: keys and values of one sequence, whose memory grows with it.
struct Sequence {
  std::unique_ptr<KvCache[]> caches;  // [N]
  std::int32_t length = 0;            // tokens so far

  void reset() { length = 0; }
};

// A logit, or the difference of two, of one row of each sequence: its mean over the sequences.
struct LogitMetric {
  const std::int32_t* rows;     // [B]
  const std::int32_t* answer;   // [B], tokens
  const std::int32_t* against;  // [B], or null: nothing is subtracted
};

// What a forward pass writes; null: not wanted.
struct Outputs {
  float* logits = nullptr;                   // [B, L, V]; with logit_rows [B, V]
  const std::int32_t* logit_rows = nullptr;  // [B], the one row of each sequence whose logits are wanted; null: all
  float* hidden = nullptr;                   // [B, L, E], what logits are computed from
  float* norm_scale = nullptr;               // [B, L], what the last norm divides by
  float* pooled = nullptr;                   // [B, E]
  float* classes = nullptr;                  // [B, K]
  const Capture* captures = nullptr;         // [N]
  Sequence* sequence = nullptr;              // whose keys and values are appended to
};

class Transformer {
 public:
  Transformer();
  ~Transformer();

  // Weights start as zeros.
  Status create(const TransformerConfig& config);
  // Has only the heads kept[…] of each layer, count[n] of layer n, one layer after the other.
  Status create_kept(const TransformerConfig& config, const std::uint32_t* kept, const std::uint32_t* count);
  // From config.seed: embeddings and positions normal, matrices Xavier-uniform; those that write to the residual stream
  // are divided by sqrt(2 N), so that it does not grow with the layers (Radford et al. 2019).
  Status initialize(Context& context);
  // Makes `smaller` a copy with only the heads kept[…] of each layer, count[n] of layer n, one layer after the other.
  Status keep_heads(const std::uint32_t* kept, const std::uint32_t* count, Transformer& smaller);

  const TransformerConfig& config() const { return config_; }
  MultiHeadAttention& attention(std::size_t layer) { return blocks_[layer].attention; }

  Status forward(const Batch& batch, const Outputs& outputs, Context& context);
  Status evaluate(const Batch& batch, Loss& loss, Context& context);
  // Adds to the gradients, which are zeroed before where they are to be `fresh`; with dropout. A failed call has
  // changed nothing.
  Status accumulate(const Batch& batch, bool fresh, Loss& loss, Context& context);
  // The gradients of the gates alone, without dropout: of parameters there are none, nor room for them.
  Status accumulate_gates(const Batch& batch, bool fresh, Loss& loss, Context& context);

  // The metric, and its gradients with respect to what is at places: probes: [N], whose captures get them. Adds to the
  // gates' gradients, and to no others.
  Status differentiate(const Batch& batch, const LogitMetric& metric, const Probe* probes, double& value,
                       Context& context);

  // Frees what is kept from call to call.
  void release_buffers();

  Status start_sequence(Sequence& sequence);
  // Appends tokens to those before; logits: [V], of the last one. A failed call has changed nothing.
  // captures: [N] or null
  Status decode(Sequence& sequence, const std::int32_t* tokens, std::size_t count, float* logits,
                const Capture* captures, Context& context);

  Status enable_gradients();
  Status enable_gate_gradients();
  void zero_gradients() noexcept;
  template <class Fn>
  void for_each_parameter(const Fn& fn) {
    visit([&](auto& part) { part.for_each_parameter(fn); });
  }

 private:
  struct Workspace;

  // Calls fn(Linear) or fn(ParameterBuffer) for everything that has parameters, in a fixed order.
  template <class Fn>
  void visit(const Fn& fn) {
    embedding_.visit(fn);
    for (std::size_t n = 0; n < config_.layers; ++n) blocks_[n].visit(fn);
    norm_.visit(fn);
    head_.visit(fn);
    pooler_.visit(fn);
  }

  // What a pass is for. The last three keep everything for the backward pass; kDifference has logits of one row of each
  // sequence alone.
  enum class Purpose { kOutputs, kLoss, kGradients, kGateGradients, kDifference };
  static bool training(Purpose purpose) { return purpose >= Purpose::kGradients; }
  static std::size_t head_rows(const Batch& batch, Purpose purpose) {
    return purpose == Purpose::kDifference ? batch.B : batch.rows();
  }

  Status create_without_attention(const TransformerConfig& config);
  Workspace take_workspace(const Batch& batch, Purpose purpose, Arena& arena);
  // Makes room for everything that may come, so that nothing fails once gradients are added to.
  Status reserve(const Batch& batch, Purpose purpose, Workspace& workspace, Context& context);
  Block::Args block_args(const Batch& batch, Purpose purpose, std::size_t layer) const;
  // The residual stream through all layers and the last norm: workspace.hidden.
  Status make_room(Sequence& sequence, std::size_t tokens);
  Status run(const Batch& batch, Purpose purpose, Sequence* sequence, const Capture* captures,
             const Workspace& workspace, Context& context);
  Status measure(const Batch& batch, Purpose purpose, Workspace& workspace, Loss& loss, Context& context);
  void gather_rows(const Workspace& workspace, const Batch& batch, const std::int32_t* rows) const noexcept;
  float* hidden_gradient(const Workspace& workspace) const noexcept;
  // From the loss to the parameters, and from the gradient of the last hidden states on.
  Status run_back(const Batch& batch, Purpose purpose, const Probe* probes, const Workspace& workspace,
                  Context& context);
  Status run_stream_back(const Batch& batch, Purpose purpose, const Probe* probes, const Workspace& workspace,
                         Context& context);

  TransformerConfig config_{};
  std::unique_ptr<LayerConfig[]> layer_configs_;  // [N]
  Embedding embedding_;
  std::unique_ptr<Block[]> blocks_;  // [N]
  Norm norm_;                        // of the last hidden states, or none
  LanguageHead head_;
  Pooler pooler_;
  std::unique_ptr<Block::Saved[]> saved_;  // [N]
  Arena activations_;                      // kept from call to call
  std::uint32_t steps_ = 0;                // calls of accumulate: each draws a new dropout mask
};

}  // namespace headwise
