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

Batch batch_of(const BatchCall& call) {
  Batch batch{call.batch, call.length};
  batch.tokens = at<const std::int32_t>(call.tokens);
  batch.patches = at<const float>(call.patches);
  batch.patch_positions = at<const float>(call.patch_positions);
  batch.positions = at<const std::int32_t>(call.positions);
  batch.token_types = at<const std::int32_t>(call.token_types);
  batch.mask = at<const std::int32_t>(call.mask);
  batch.targets = at<const std::int32_t>(call.targets);
  batch.pooled_rows = at<const std::int32_t>(call.pooled_rows);
  return batch;
}

Outputs outputs_of(const OutputsCall& call) {
  Outputs outputs;
  outputs.logits = at<float>(call.logits);
  outputs.logit_rows = at<const std::int32_t>(call.logit_rows);
  outputs.hidden = at<float>(call.hidden);
  outputs.norm_scale = at<float>(call.norm_scale);
  outputs.pooled = at<float>(call.pooled);
  outputs.classes = at<float>(call.classes);
  return outputs;
}

LayerConfig layer_of(const LayerCall& call, Pointer frequencies) {
  LayerConfig layer;
  if (call.window_left >= 0) layer.window.left = static_cast<std::int64_t>(call.window_left);
  if (call.window_right >= 0) layer.window.right = static_cast<std::int64_t>(call.window_right);
  layer.rotary = {static_cast<std::size_t>(call.rope_dim), static_cast<float>(call.rope_base),
                  call.rope_interleaved != 0, at<const double>(frequencies), static_cast<float>(call.rope_factor)};
  layer.norm1 = call.norm1 != 0;
  return layer;
}

// A table of pointers to what is at the places.
void read_places(const std::uint32_t* pointers, Probe& probe) {
  for (std::size_t place = 0; place < kPlaces; ++place) probe.captures[place] = at<float>(pointers[place]);
}

Edit edit_of(const EditCall& call) {
  Edit edit{static_cast<Place>(call.place), static_cast<Edit::Operation>(call.operation), call.head};
  edit.tokens = at<const std::int32_t>(call.tokens);
  edit.token_count = call.token_count;
  edit.values = at<const float>(call.values);
  std::copy_n(call.strides, 4, edit.strides);
  return edit;
}

// What is read and changed, by layer.
struct LayerCaptures {
  // first: the tokens of the sequence before this call's. Without anything to read or to change, `captures` stays null.
  Status create(const InsideCall& call, std::size_t layers, std::size_t first) {
    if (call.captures == 0 && call.edit_count == 0) return Status::kOk;
    captures.reset(new (std::nothrow) Capture[layers]);
    edits.reset(new (std::nothrow) Edit[call.edit_count]);
    if (captures == nullptr || edits == nullptr) return Status::kOutOfMemory;
    std::size_t done = 0;
    for (std::size_t n = 0; n < layers; ++n) {
      Capture& capture = captures[n];
      capture.probe.first = first;
      capture.probe.edits = &edits[done];
      for (; done < call.edit_count && at<const EditCall>(call.edits)[done].layer == n; ++done) {
        edits[done] = edit_of(at<const EditCall>(call.edits)[done]);
        ++capture.probe.edit_count;
      }
      if (call.captures == 0) continue;
      const auto* pointers = at<const std::uint32_t>(call.captures) + n * (2 + kPlaces);
      capture.weights = at<float>(pointers[0]);
      capture.stage = static_cast<WeightsStage>(call.weights_stage);
      capture.heads = at<float>(pointers[1]);
      if (capture.heads != nullptr) capture.head_output = static_cast<HeadOutput>(call.head_output);
      read_places(pointers + 2, capture.probe);
    }
    return Status::kOk;
  }

  std::unique_ptr<Capture[]> captures;
  std::unique_ptr<Edit[]> edits;
};

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

void Model::set_frequencies(Pointer frequencies) {
  for (std::size_t n = 0; n < transformer.config().layers; ++n) {
    const Pointer of_layer = at<const std::uint32_t>(frequencies)[n];
    if (of_layer != 0) transformer.attention(n).set_rope_frequencies(at<const double>(of_layer));
  }
}

Status Model::forward(const BatchCall& call, const OutputsCall& outputs_call) {
  Outputs outputs = outputs_of(outputs_call);
  LayerCaptures inside;
  HEADWISE_RETURN_IF_ERROR(inside.create(outputs_call.inside, transformer.config().layers, 0));
  outputs.captures = inside.captures.get();
  return settle(transformer.forward(batch_of(call), outputs, context_));
}

LossResult Model::evaluate(const BatchCall& call) {
  Loss loss;
  const Status status = settle(transformer.evaluate(batch_of(call), loss, context_));
  return result_of(status, loss);
}

LossResult Model::accumulate(const BatchCall& call, bool fresh) {
  Loss loss;
  const Status status = settle(transformer.accumulate(batch_of(call), fresh, loss, context_));
  return result_of(status, loss);
}

Status Model::gate_gradients(const BatchCall& call, Pointer to) {
  const std::size_t layers = transformer.config().layers;
  const auto copy_all = [&](const auto& copy) {
    float* all = at<float>(to);
    for (std::size_t n = 0; n < layers; ++n) {
      MultiHeadAttention& attention = transformer.attention(n);
      const std::size_t H = attention.config().num_heads;
      copy(attention.gate_gradients(), all, H);
      all += H;
    }
  };
  HEADWISE_RETURN_IF_ERROR(settle(transformer.enable_gate_gradients()));
  copy_all([](const float* gradients, float* kept, std::size_t H) { std::copy_n(gradients, H, kept); });
  Loss loss;
  const Status status = settle(transformer.accumulate_gates(batch_of(call), true, loss, context_));
  copy_all([](float* gradients, float* kept, std::size_t H) { std::swap_ranges(gradients, gradients + H, kept); });
  return status;
}

std::unique_ptr<Sequence> Model::start_sequence() {
  std::unique_ptr<Sequence> sequence(new (std::nothrow) Sequence);
  if (sequence == nullptr || transformer.start_sequence(*sequence) != Status::kOk) return nullptr;
  return sequence;
}

Status Model::decode(Sequence& sequence, Pointer tokens, std::size_t count, Pointer logits,
                     const InsideCall& inside_call) {
  LayerCaptures inside;
  HEADWISE_RETURN_IF_ERROR(
      inside.create(inside_call, transformer.config().layers, static_cast<std::size_t>(sequence.length)));
  return settle(transformer.decode(sequence, at<const std::int32_t>(tokens), count, at<float>(logits),
                                   inside.captures.get(), context_));
}

DifferentiateResult Model::differentiate(const BatchCall& call, Pointer rows, Pointer answer, Pointer against,
                                         Pointer gradients) {
  const std::size_t layers = transformer.config().layers;
  DifferentiateResult result{Status::kOutOfMemory, 0.0};
  std::unique_ptr<Probe[]> probes(new (std::nothrow) Probe[layers]);
  if (probes == nullptr) return result;
  for (std::size_t n = 0; n < layers; ++n) read_places(at<const std::uint32_t>(gradients) + n * kPlaces, probes[n]);
  const LogitMetric metric{at<const std::int32_t>(rows), at<const std::int32_t>(answer),
                           at<const std::int32_t>(against)};
  result.status = settle(transformer.differentiate(batch_of(call), metric, probes.get(), result.value, context_));
  return result;
}

std::unique_ptr<Module> Model::attention(std::size_t layer) {
  return std::unique_ptr<Module>(new (std::nothrow) Module(context_, transformer.attention(layer)));
}

std::unique_ptr<Model> Model::keep_heads(Pointer kept, Pointer counts) {
  std::unique_ptr<Model> smaller(new (std::nothrow) Model(context_));
  if (smaller == nullptr) return nullptr;
  const Status status =
      transformer.keep_heads(at<const std::uint32_t>(kept), at<const std::uint32_t>(counts), smaller->transformer);
  return status == Status::kOk ? std::move(smaller) : nullptr;
}

namespace {

// The layers that a configuration points to; null: out of memory.
std::unique_ptr<LayerConfig[]> layers_of(const TransformerConfig& config, Pointer layers, Pointer frequencies) {
  std::unique_ptr<LayerConfig[]> configs(new (std::nothrow) LayerConfig[config.layers]);
  for (std::size_t n = 0; configs != nullptr && n < config.layers; ++n) {
    configs[n] = layer_of(at<const LayerCall>(layers)[n], at<const std::uint32_t>(frequencies)[n]);
  }
  return configs;
}

}  // namespace

std::unique_ptr<Model> Engine::transformer(const TransformerConfig& config, Pointer layers, Pointer frequencies) {
  std::unique_ptr<Model> model(new (std::nothrow) Model(context_));
  const std::unique_ptr<LayerConfig[]> layer_configs = layers_of(config, layers, frequencies);
  if (model == nullptr || layer_configs == nullptr) return nullptr;
  TransformerConfig with_layers = config;
  with_layers.layer_configs = layer_configs.get();
  if (model->transformer.create(with_layers) != Status::kOk || model->transformer.initialize(context_) != Status::kOk) {
    return nullptr;
  }
  return model;
}

std::unique_ptr<Model> Engine::empty_transformer(const TransformerConfig& config, Pointer layers, Pointer frequencies,
                                                 Pointer kept, Pointer counts) {
  std::unique_ptr<Model> model(new (std::nothrow) Model(context_));
  const std::unique_ptr<LayerConfig[]> layer_configs = layers_of(config, layers, frequencies);
  if (model == nullptr || layer_configs == nullptr) return nullptr;
  TransformerConfig with_layers = config;
  with_layers.layer_configs = layer_configs.get();
  const Status status =
      model->transformer.create_kept(with_layers, at<const std::uint32_t>(kept), at<const std::uint32_t>(counts));
  return status == Status::kOk ? std::move(model) : nullptr;
}

}  // namespace headwise::bindings
