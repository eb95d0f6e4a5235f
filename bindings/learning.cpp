#include "learning.hpp"

#include <algorithm>
#include <new>

namespace headwise::bindings {
namespace {

template <class Trained>
std::unique_ptr<Moments> moments_of(Trained& trained) {
  std::unique_ptr<Moments> moments(new (std::nothrow) Moments);
  if (moments == nullptr || moments->create(trained) != Status::kOk) return nullptr;
  return moments;
}

template <class Trained>
double sum_of_squares_of(Trained& trained, ThreadPool& pool) {
  double sum = 0.0;
  trained.for_each_parameter(
      [&](const Parameter& parameter) { sum += sum_of_squares(parameter.gradient, parameter.count, pool); });
  return sum;
}

TokenBatch batch_of(const TokensCall& call) {
  return {call.batch, call.length, at<const std::int32_t>(call.tokens), at<const std::int32_t>(call.targets)};
}

LossResult result_of(Status status, const Loss& loss) { return {status, loss.mean, loss.count, loss.correct}; }

}  // namespace

std::unique_ptr<Moments> Module::moments() { return moments_of(attention); }
double Module::sum_of_squares() { return sum_of_squares_of(attention, context_.pool); }
void Module::update(Moments& moments, const AdamWStep& step) { moments.update(step, attention, context_.pool); }

std::unique_ptr<Moments> Model::moments() { return moments_of(transformer); }
double Model::sum_of_squares() { return sum_of_squares_of(transformer, context_.pool); }
void Model::update(Moments& moments, const AdamWStep& step) { moments.update(step, transformer, context_.pool); }

void Model::get_gate_gradient(std::size_t layer, Pointer to) {
  const MultiHeadAttention& attention = transformer.attention(layer);
  std::copy_n(attention.gate_gradients(), attention.config().num_heads, at<float>(to));
}

Status Model::forward(const TokensCall& call, const CaptureCall& capture) {
  if (capture.captures == 0) {
    return settle(transformer.forward(batch_of(call), nullptr, at<float>(capture.logits), context_));
  }
  const std::size_t layers = transformer.config().layers;
  std::unique_ptr<Capture[]> captures(new (std::nothrow) Capture[layers]);
  if (captures == nullptr) return Status::kOutOfMemory;
  const auto* pointers = at<const std::uint32_t>(capture.captures);
  for (std::size_t n = 0; n < layers; ++n) {
    captures[n].weights = at<float>(pointers[2 * n]);
    captures[n].stage = static_cast<WeightsStage>(capture.weights_stage);
    captures[n].heads = at<float>(pointers[2 * n + 1]);
    if (captures[n].heads != nullptr) captures[n].head_output = static_cast<HeadOutput>(capture.head_output);
  }
  return settle(transformer.forward(batch_of(call), captures.get(), at<float>(capture.logits), context_));
}

LossResult Model::evaluate(const TokensCall& call) {
  Loss loss;
  const Status status = settle(transformer.evaluate(batch_of(call), loss, context_));
  return result_of(status, loss);
}

LossResult Model::accumulate(const TokensCall& call, bool fresh) {
  Loss loss;
  const Status status = settle(transformer.accumulate(batch_of(call), fresh, loss, context_));
  return result_of(status, loss);
}

std::unique_ptr<Transformer::Sequence> Model::start_sequence() {
  std::unique_ptr<Transformer::Sequence> sequence(new (std::nothrow) Transformer::Sequence);
  if (sequence == nullptr || transformer.start_sequence(*sequence) != Status::kOk) return nullptr;
  return sequence;
}

Status Model::decode(Transformer::Sequence& sequence, Pointer tokens, std::size_t count, Pointer logits) {
  return settle(transformer.decode(sequence, at<const std::int32_t>(tokens), count, at<float>(logits), context_));
}

std::unique_ptr<Module> Model::attention(std::size_t layer) {
  return std::unique_ptr<Module>(new (std::nothrow) Module(context_, transformer.attention(layer)));
}

std::unique_ptr<Model> Model::keep_heads(Pointer kept, Pointer counts) {
  std::unique_ptr<Model> smaller(new (std::nothrow) Model(context_));
  if (smaller == nullptr) return nullptr;
  const Status status = transformer.keep_heads(at<const std::uint32_t>(kept), at<const std::uint32_t>(counts),
                                               smaller->transformer, context_);
  return status == Status::kOk ? std::move(smaller) : nullptr;
}

std::unique_ptr<Model> Engine::transformer(const TransformerConfig& config) {
  std::unique_ptr<Model> model(new (std::nothrow) Model(context_));
  if (model == nullptr || model->transformer.create(config) != Status::kOk ||
      model->transformer.initialize(context_) != Status::kOk) {
    return nullptr;
  }
  return model;
}

std::unique_ptr<Model> Engine::empty_transformer(const TransformerConfig& config, Pointer kept, Pointer counts) {
  std::unique_ptr<Model> model(new (std::nothrow) Model(context_));
  if (model == nullptr) return nullptr;
  const Status status =
      model->transformer.create_kept(config, at<const std::uint32_t>(kept), at<const std::uint32_t>(counts));
  return status == Status::kOk ? std::move(model) : nullptr;
}

}  // namespace headwise::bindings
