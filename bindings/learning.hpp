// Transformers and optimizers as JavaScript sees them.
#pragma once

#include <memory>

#include "engine.hpp"

namespace headwise::bindings {

struct TokensCall {
  std::size_t batch, length;
  Pointer tokens, targets;  // [B, L] integers; targets null where there are none
};

struct CaptureCall {
  Pointer logits;                  // [B, L, V]
  Pointer captures;                // [N, 2] pointers, each layer's weights and heads; null: nothing is captured
  int weights_stage, head_output;  // WeightsStage, HeadOutput
};

struct LossResult {
  Status status;
  double loss;  // mean over the targets that count
  std::size_t count, correct;
};

// A transformer and the instance that it computes on.
class Model {
 public:
  explicit Model(Context& context) : context_(context) {}

  // By their places in Transformer::for_each_parameter. Gradients are there once they have been enabled.
  void get_parameter(std::size_t index, Pointer to) { parameter_at(transformer, index).read_value(at<float>(to)); }
  void set_parameter(std::size_t index, Pointer from) {
    parameter_at(transformer, index).write_value(at<const float>(from));
  }
  void get_gradient(std::size_t index, Pointer to) { parameter_at(transformer, index).read_gradient(at<float>(to)); }
  void get_gate_gradient(std::size_t layer, Pointer to);  // [H]
  Status enable_gradients() { return transformer.enable_gradients(); }
  void zero_gradients() { transformer.zero_gradients(); }

  Status forward(const TokensCall& call, const CaptureCall& capture);
  LossResult evaluate(const TokensCall& call);
  // fresh: whether gradients start anew.
  LossResult accumulate(const TokensCall& call, bool fresh);
  std::unique_ptr<Transformer::Sequence> start_sequence();  // null: out of memory
  Status decode(Transformer::Sequence& sequence, Pointer tokens, std::size_t count, Pointer logits);

  // A layer's module, which must not outlive the model.
  std::unique_ptr<Module> attention(std::size_t layer);
  // kept: heads, layer by layer; counts: [N]. Null: out of memory.
  std::unique_ptr<Model> keep_heads(Pointer kept, Pointer counts);

  std::unique_ptr<Moments> moments();  // null: out of memory
  double sum_of_squares();             // of all gradients
  void update(Moments& moments, const AdamWStep& step);

  Transformer transformer;

 private:
  // A call that gets no memory keeps none.
  Status settle(Status status) {
    if (status != Status::kOk) transformer.release_buffers();
    return status;
  }

  Context& context_;
};

}  // namespace headwise::bindings
