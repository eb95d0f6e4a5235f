// One layer of a transformer: attention and feed-forward, whose outputs are added to the residual stream
// (Vaswani et al. 2017).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"
#include "nn/batch.hpp"
#include "nn/feed_forward.hpp"
#include "nn/multi_head_attention.hpp"
#include "nn/norm.hpp"
#include "nn/transformer_config.hpp"

namespace headwise {

// What forward writes beside its output, and changes, of one layer; null: nothing.
struct Capture {
  float* weights = nullptr;  // [B, H, L, L]
  WeightsStage stage = WeightsStage::kProbabilities;
  float* heads = nullptr;  // as head_output says
  HeadOutput head_output = HeadOutput::kNone;
  Probe probe;
};

class Block {
 public:
  // What a sublayer adds to the stream, [T, E] each.
  struct Branch {
    float* output;  // its output
    float* added;   // the same behind a norm and dropout
    float* sum;     // of stream and branch, before its norm
  };
  // What a forward pass computes on. In training each layer keeps its own until the backward pass; else all layers
  // share one set, and what may be overwritten is one and the same.
  struct Saved {
    float* input;    // [T, E], the residual stream before the layer
    float* mid;      // [T, E], between attention and feed-forward
    float* output;   // [T, E], after the layer: the next one's input
    float* normed1;  // [T, E], what the attention reads, where there is a norm before it
    float* normed2;  // [T, E], what the feed-forward reads, likewise
    Branch attention, feed_forward;
    FeedForward::Hidden hidden;  // [T, F]
    float* scales;               // [T], of a norm, for a probe
  };
  // What layers take turns with.
  struct Shared {
    float* normed;  // [T, E]
    float* branch;  // [T, E]
    float* scales;  // [T]
  };
  // What a backward pass computes on: gradients.
  struct Gradients {
    float* branch;           // [T, E], of what a sublayer adds
    float* norm_input;       // [T, E], of what a norm behind a sublayer reads
    float* of_attention;     // [T, E], of what the attention reads
    float* of_feed_forward;  // [T, E], of what the feed-forward reads; unless in parallel, the same memory
    float* active;           // [T, F], of the feed-forward's hidden values
  };
  struct Args {
    const Batch& batch;
    bool training = false;
    Dropout dropout = {};  // of this layer, in training
    const Capture* capture = nullptr;
    const Probe* gradients = nullptr;  // in the backward pass: copies the gradients of what was at a place
    KvCache* cache = nullptr;          // of a single sequence that has batch.first tokens already
  };

  // All but the attention, which is created by its configuration, or by pruning.
  Status create(const TransformerConfig& config, const LayerConfig& layer);
  MultiHeadAttentionConfig attention_config() const;

  // input: [T, E]; where nothing must be kept, it becomes the output.
  Saved take(std::size_t rows, bool training, float* input, const Shared& shared, Arena& arena) const;
  Gradients take_gradients(std::size_t rows, Arena& arena) const;

  Status forward(const Args& args, const Saved& saved, Context& context);
  // Floats of the context's arena that backward takes.
  std::uint64_t backward_scratch(const Batch& batch, std::size_t threads) const;
  // gradient: [T, E], of the output; becomes that of the input. Where parameters are not to `learn`, gates do all the
  // same.
  Status backward(const Args& args, const Saved& saved, const Gradients& gradients, bool learn, float* gradient,
                  Context& context);

  void copy_parameters(Block& from);  // all but those of the attention

  // Calls fn(Linear) or fn(ParameterBuffer) for everything that is learned, in a fixed order.
  template <class Fn>
  void visit(const Fn& fn) {
    norm1_.visit(fn);
    attention.visit(fn);
    norm1_after_.visit(fn);
    norm2_.visit(fn);
    if (has_feed_forward()) feed_forward.visit(fn);
    norm2_after_.visit(fn);
  }

  MultiHeadAttention attention;
  FeedForward feed_forward;
  AttentionTape tape;

 private:
  bool has_feed_forward() const { return config_.feed_forward_dim > 0; }
  Status attend(const Args& args, const float* x, float* output, Context& context);

  TransformerConfig config_{};
  LayerConfig layer_{};
  Norm norm1_, norm1_after_, norm2_, norm2_after_;  // as TransformerConfig says; each of [E], or none
};

}  // namespace headwise
