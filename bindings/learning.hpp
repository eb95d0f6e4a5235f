// Transformers and optimizers as JavaScript sees them.
#pragma once

#include <memory>

#include "engine.hpp"

namespace headwise::bindings {

// As Batch; null: not given.
struct BatchCall {
  std::size_t batch, length;
  Pointer tokens, patches, patch_positions, positions, token_types, mask, targets, pooled_rows;
};

// What is read and changed of the layers.
struct InsideCall {
  Pointer captures;                // [N, 2 + kPlaces] pointers: weights, heads and the places of each layer; null: none
  int weights_stage, head_output;  // WeightsStage, HeadOutput
  Pointer edits;                   // [edit_count] of EditCall, layer by layer
  std::size_t edit_count;
};

// As Outputs; null: not wanted.
struct OutputsCall {
  Pointer logits, logit_rows, hidden, norm_scale, pooled, classes;
  InsideCall inside;
};

// As Edit, in words, so that JavaScript can write all of them at once.
struct EditCall {
  std::uint32_t layer, place, operation;
  std::int32_t head;
  Pointer tokens, token_count, values;
  std::uint32_t strides[4];
};

// As LayerConfig, in numbers of one type, so that JavaScript can write all layers at once.
struct LayerCall {
  double window_left, window_right;  // in tokens; < 0: open
  double rope_dim, rope_base, rope_interleaved, rope_factor;
  double norm1;
};

struct LossResult {
  Status status;
  double loss;  // mean over the targets that are not ignored
  std::size_t count, correct;
};

struct DifferentiateResult {
  Status status;
  double value;
};

// A transformer and the instance that it computes on.
class Model {
 public:
  explicit Model(Context& context) : context_(context) {}

  // By index in Transformer::for_each_parameter. Gradients exist once they have been enabled.
  void get_parameter(std::size_t index, Pointer to) { parameter_at(transformer, index).read_value(at<float>(to)); }
  // kInvalidArgument, and nothing has changed: int8 cannot hold infinity or NaN.
  Status set_parameter(std::size_t index, Pointer from) {
    return held(parameter_at(transformer, index).write_value(at<const float>(from)));
  }
  // Elements [first, first + count) in the order outside; of a matrix whole rows, `first` a multiple of simd::kTile
  // rows.
  void get_parameter_part(std::size_t index, std::size_t first, std::size_t count, Pointer to) {
    parameter_at(transformer, index).read_part(first, count, at<float>(to));
  }
  Status set_parameter_part(std::size_t index, std::size_t first, std::size_t count, Pointer from) {
    return held(parameter_at(transformer, index).write_part(first, count, at<const float>(from)));
  }
  // Rows [first, first + count) of a matrix in its own format: floats, BF16 bits or int8, [count, inputs], and for int8
  // the scales of the rows, [count].
  void get_raw_rows(std::size_t index, std::size_t first, std::size_t count, Pointer to, Pointer scales) {
    parameter_at(transformer, index).matrix->get_raw_rows(first, count, at<void>(to), at<float>(scales));
  }
  void set_raw_rows(std::size_t index, std::size_t first, std::size_t count, Pointer from, Pointer scales) {
    parameter_at(transformer, index).matrix->set_raw_rows(first, count, at<const void>(from), at<const float>(scales));
  }
  void get_gradient(std::size_t index, Pointer to) { parameter_at(transformer, index).read_gradient(at<float>(to)); }
  void get_gate_gradient(std::size_t layer, Pointer to);  // [H]
  Status enable_gradients() { return transformer.enable_gradients(); }
  // [N] pointers, each to [rope_dim / 2] doubles; null: those of a layer stay.
  void set_frequencies(Pointer frequencies);
  Status enable_gate_gradients() { return transformer.enable_gate_gradients(); }
  void zero_gradients() { transformer.zero_gradients(); }

  Status forward(const BatchCall& call, const OutputsCall& outputs);
  LossResult evaluate(const BatchCall& call);
  // fresh: whether to set the gradients to zero first.
  LossResult accumulate(const BatchCall& call, bool fresh);
  // Those of the gates alone, [H] layer by layer; all gradients that there are stay as they are.
  Status gate_gradients(const BatchCall& call, Pointer to);
  std::unique_ptr<Sequence> start_sequence();  // null: out of memory
  Status decode(Sequence& sequence, Pointer tokens, std::size_t count, Pointer logits, const InsideCall& inside);
  // As LogitMetric, with pointers, and [N, kPlaces] pointers for the gradients at the places of each layer.
  DifferentiateResult differentiate(const BatchCall& call, Pointer rows, Pointer answer, Pointer against,
                                    Pointer gradients);

  // A layer's module, which must not outlive the model.
  std::unique_ptr<Module> attention(std::size_t layer);
  // kept: the heads to keep, layer by layer; counts: [N]. Null: out of memory.
  std::unique_ptr<Model> keep_heads(Pointer kept, Pointer counts);

  std::unique_ptr<Moments> moments();  // null: out of memory
  double sum_of_squares();             // of all gradients
  void update(Moments& moments, const AdamWStep& step);

  Transformer transformer;

 private:
  // If a call fails for lack of memory, its buffers are freed.
  Status settle(Status status) {
    if (status != Status::kOk) transformer.release_buffers();
    return status;
  }

  Context& context_;
};

}  // namespace headwise::bindings
