#include "engine.hpp"

#include <algorithm>
#include <new>

namespace headwise::bindings {
namespace {

template <class T>
T* at(Pointer pointer) {
  return reinterpret_cast<T*>(pointer);
}

Visibility visibility_of(const VisibilityCall& call) {
  Visibility visibility;
  visibility.mask = Mask(static_cast<MaskType>(call.mask_type), at<const void>(call.mask),
                         {call.mask_batch, call.mask_heads, call.mask_queries, call.mask_keys});
  visibility.causal = call.causal;
  visibility.offset = call.offset;
  visibility.key_lengths = at<const std::int32_t>(call.key_lengths);
  return visibility;
}

template <class Float>
HeadView<Float> view(const AttentionCall& call, Pointer data, std::size_t length, std::size_t width) {
  return call.heads_first ? HeadView<Float>::heads_first(at<Float>(data), call.heads, length, width)
                          : HeadView<Float>::heads_in_rows(at<Float>(data), call.heads, length, width);
}

}  // namespace

void Module::get_parameter(std::size_t index, Pointer to) {
  Linear& projection = attention.projection(index / 2);
  if (index % 2 == 0) {
    projection.get_weight(at<float>(to));
  } else {
    std::copy_n(projection.bias(), projection.outputs(), at<float>(to));
  }
}

void Module::set_parameter(std::size_t index, Pointer from) {
  Linear& projection = attention.projection(index / 2);
  if (index % 2 == 0) {
    projection.set_weight(at<const float>(from));
  } else {
    std::copy_n(at<const float>(from), projection.outputs(), projection.bias());
  }
}

void Module::get_gates(Pointer to) { std::copy_n(attention.gates(), attention.config().num_heads, at<float>(to)); }

void Module::set_gates(Pointer from) {
  std::copy_n(at<const float>(from), attention.config().num_heads, attention.gates());
}

Status Module::forward(const ForwardCall& call) {
  return attention.forward({.B = call.batch,
                            .L = call.queries,
                            .S = call.keys,
                            .query = at<const float>(call.query),
                            .key = at<const float>(call.key),
                            .value = at<const float>(call.value),
                            .visibility = visibility_of(call.visibility),
                            .output = at<float>(call.output),
                            .weights = at<float>(call.weights),
                            .head_output = static_cast<HeadOutput>(call.head_output),
                            .heads = at<float>(call.heads)},
                           context_);
}

std::unique_ptr<Module> Module::keep_heads(Pointer kept, std::size_t count) {
  std::unique_ptr<Module> smaller(new (std::nothrow) Module(context_));
  if (smaller == nullptr) return nullptr;
  const Status status = attention.keep_heads(at<const std::uint32_t>(kept), count, smaller->attention, context_);
  return status == Status::kOk ? std::move(smaller) : nullptr;
}

Pointer Engine::stage(double bytes) {
  const Status status = staging_.reserve(static_cast<std::uint64_t>(bytes) / sizeof(float) + 1);
  return status == Status::kOk ? reinterpret_cast<Pointer>(staging_.data()) : 0;
}

void Engine::release_buffers() {
  staging_.release();
  context_.arena.release();
}

Status Engine::attention(const AttentionCall& call) {
  AttentionArgs args;
  args.shape = {call.batch, call.heads, call.queries, call.keys, call.head_dim, call.value_head_dim};
  args.query = view<const float>(call, call.query, call.queries, call.head_dim);
  args.key = view<const float>(call, call.key, call.keys, call.head_dim);
  args.value = view<const float>(call, call.value, call.keys, call.value_head_dim);
  args.output = view<float>(call, call.output, call.queries, call.value_head_dim);
  args.weights = at<float>(call.weights);
  args.visibility = visibility_of(call.visibility);
  args.scale = call.scale;
  args.gates = at<const float>(call.gates);
  HEADWISE_RETURN_IF_ERROR(context_.arena.reserve(attention_scratch(args.shape, context_.pool.threads())));
  headwise::attention(args, context_);
  return Status::kOk;
}

Status Engine::analyze_heads(const AnalysisCall& call) {
  HEADWISE_RETURN_IF_ERROR(context_.arena.reserve(analysis_scratch(call.keys, context_.pool.threads())));
  headwise::analyze_heads(at<const float>(call.weights), call.batch, call.heads, call.queries, call.keys,
                          visibility_of(call.visibility), context_, at<HeadStatistics>(call.statistics));
  return Status::kOk;
}

std::unique_ptr<Module> Engine::multi_head_attention(const MultiHeadAttentionConfig& config, std::uint32_t seed) {
  std::unique_ptr<Module> module(new (std::nothrow) Module(context_));
  if (module == nullptr || module->attention.create(config) != Status::kOk ||
      module->attention.initialize(seed, context_) != Status::kOk) {
    return nullptr;
  }
  return module;
}

}  // namespace headwise::bindings
