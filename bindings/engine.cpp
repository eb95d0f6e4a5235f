#include "engine.hpp"

#include <algorithm>
#include <new>
#include <numeric>

#include "attention/append.hpp"

namespace headwise::bindings {
namespace {

Visibility visibility_of(const VisibilityCall& call) {
  Visibility visibility;
  visibility.mask = Mask(static_cast<MaskType>(call.mask_type), at<const void>(call.mask),
                         {call.mask_batch, call.mask_heads, call.mask_queries, call.mask_keys});
  visibility.causal = call.causal;
  if (call.window_left >= 0) visibility.window.left = call.window_left;
  if (call.window_right >= 0) visibility.window.right = call.window_right;
  visibility.offsets = at<const std::int32_t>(call.offsets);
  visibility.key_lengths = at<const std::int32_t>(call.key_lengths);
  return visibility;
}

template <class Float>
HeadView<Float> view(bool heads_first, Pointer data, std::size_t heads, std::size_t length, std::size_t width) {
  return heads_first ? HeadView<Float>::heads_first(at<Float>(data), heads, length, width)
                     : HeadView<Float>::heads_in_rows(at<Float>(data), heads, length, width);
}

ForwardArgs args_of(const ForwardCall& call, const VisibilityCall& visibility) {
  ForwardArgs args;
  args.B = call.batch;
  args.L = call.queries;
  args.S = call.keys;
  args.query = at<const float>(call.query);
  args.key = at<const float>(call.key);
  args.value = at<const float>(call.value);
  args.visibility = visibility_of(visibility);
  args.query_positions = at<const std::int32_t>(call.query_positions);
  args.key_positions = at<const std::int32_t>(call.key_positions);
  args.output = at<float>(call.output);
  args.weights = at<float>(call.weights);
  args.stage = static_cast<WeightsStage>(call.weights_stage);
  args.head_output = static_cast<HeadOutput>(call.head_output);
  args.heads = at<float>(call.heads);
  return args;
}

// present = past and new, one behind the other.   past: [B, G, P, width], present: [B, G, P + new, width]
HeadView<const float> concatenate(const AttentionCall& call, Pointer past, const HeadView<const float>& fresh,
                                  std::size_t width, Pointer present) {
  const std::size_t S = call.past + call.keys;
  if (S == 0) return fresh;  // however many batch rows there are
  const auto from = HeadView<const float>::heads_first(at<const float>(past), call.kv_heads, call.past, width);
  const auto to = HeadView<float>::heads_first(at<float>(present), call.kv_heads, S, width);
  for (std::size_t b = 0; b < call.batch; ++b) {
    append_rows(from, b, call.kv_heads, call.past, width, to, 0);
    append_rows(fresh, b, call.kv_heads, call.keys, width, to, call.past);
  }
  return HeadView<const float>::heads_first(at<const float>(present), call.kv_heads, S, width);
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

Status Module::forward(const ForwardCall& call, KvCache* cache, const VisibilityCall& visibility) {
  ForwardArgs args = args_of(call, visibility);
  args.cache = cache;
  return attention.forward(args, context_);
}

Status Module::train_forward(const ForwardCall& call, float dropout_rate, std::uint32_t dropout_seed,
                             const VisibilityCall& visibility) {
  ForwardArgs args = args_of(call, visibility);
  args.dropout = {dropout_rate, dropout_seed};
  args.tape = &tape_;
  return attention.forward(args, context_);
}

Status Module::backward(Pointer output, Pointer weights, Pointer query, Pointer key, Pointer value) {
  return attention.backward(tape_,
                            {.output = at<const float>(output),
                             .weights = at<const float>(weights),
                             .query = at<float>(query),
                             .key = at<float>(key),
                             .value = at<float>(value)},
                            context_);
}

void Module::get_gradient(std::size_t index, Pointer to) {
  constexpr std::size_t kGates = 2 * MultiHeadAttention::kProjections;
  const std::size_t H = attention.config().num_heads;
  const bool gates = index == kGates, weight = index % 2 == 0;
  const Linear& projection = attention.projection(gates ? 0 : index / 2);
  const std::size_t outputs = projection.outputs(), count = weight ? outputs * projection.inputs() : outputs;
  if (attention.gate_gradients() == nullptr) {  // nothing has been trained yet
    std::fill_n(at<float>(to), gates ? H : count, 0.0f);
  } else if (gates) {
    std::copy_n(attention.gate_gradients(), H, at<float>(to));
  } else if (weight) {
    projection.get_weight_gradient(at<float>(to));
  } else {
    std::copy_n(projection.bias_gradient(), count, at<float>(to));
  }
}

std::unique_ptr<Module> Module::keep_heads(Pointer kept, std::size_t count) {
  std::unique_ptr<Module> smaller(new (std::nothrow) Module(context_));
  if (smaller == nullptr) return nullptr;
  const Status status = attention.keep_heads(at<const std::uint32_t>(kept), count, smaller->attention, context_);
  return status == Status::kOk ? std::move(smaller) : nullptr;
}

std::unique_ptr<KvCache> Module::cache(std::size_t batch, std::size_t capacity) const {
  const MultiHeadAttentionConfig& config = attention.config();
  std::unique_ptr<KvCache> cache(new (std::nothrow) KvCache);
  if (cache == nullptr ||
      cache->create(batch, config.num_kv_heads, capacity, config.head_dim, config.value_head_dim) != Status::kOk) {
    return nullptr;
  }
  return cache;
}

Pointer Engine::stage(double bytes) {
  const Status status = staging_.reserve(static_cast<std::uint64_t>(bytes) / sizeof(float) + 1);
  return status == Status::kOk ? reinterpret_cast<Pointer>(staging_.data()) : 0;
}

void Engine::release_buffers() {
  staging_.release();
  context_.arena.release();
}

Status Engine::attention(const AttentionCall& call, const VisibilityCall& visibility) {
  AttentionArgs args;
  const std::size_t D = call.head_dim, Dv = call.value_head_dim;
  args.shape = {call.batch, call.heads, call.kv_heads, call.queries, call.past + call.keys, D, Dv};
  args.query = view<const float>(call.heads_first, call.query, call.heads, call.queries, D);
  args.key = view<const float>(call.heads_first, call.key, call.kv_heads, call.keys, D);
  args.value = view<const float>(call.heads_first, call.value, call.kv_heads, call.keys, Dv);
  if (call.present_key != 0) {
    args.key = concatenate(call, call.past_key, args.key, D, call.present_key);
    args.value = concatenate(call, call.past_value, args.value, Dv, call.present_value);
  }
  args.output = view<float>(call.heads_first, call.output, call.heads, call.queries, Dv);
  args.weights = at<float>(call.weights);
  args.stage = static_cast<WeightsStage>(call.weights_stage);
  args.visibility = visibility_of(visibility);
  args.scale = call.scale;
  args.softcap = call.softcap;
  args.gates = at<const float>(call.gates);
  HEADWISE_RETURN_IF_ERROR(context_.arena.reserve(attention_scratch(args.shape, context_.pool.threads())));
  headwise::attention(args, context_);
  return Status::kOk;
}

Status Engine::rotary_embedding(const RotaryCall& call) {
  const Rotary rotary{call.dim, call.base, call.interleaved};
  const std::size_t tokens = call.batch * call.length, pairs = call.dim / 2;
  RotaryArgs args{call.batch,
                  call.heads,
                  call.length,
                  call.head_dim,
                  view<const float>(call.heads_first, call.input, call.heads, call.length, call.head_dim),
                  view<float>(call.heads_first, call.output, call.heads, call.length, call.head_dim),
                  {at<const float>(call.cos), at<const float>(call.sin)}};
  if (call.cos != 0) {
    args.rows = at<const std::int32_t>(call.positions);
    args.row_batch = call.length;
  } else {
    const bool shared = call.positions == 0;
    const std::size_t rows = shared ? call.length : tokens;
    HEADWISE_RETURN_IF_ERROR(
        context_.arena.reserve(2 * Arena::padded(std::uint64_t{rows} * pairs) + Arena::padded(rows)));
    float* cos = context_.arena.take(rows * pairs);
    float* sin = context_.arena.take(rows * pairs);
    auto* counted = reinterpret_cast<std::int32_t*>(context_.arena.take(rows));
    std::iota(counted, counted + rows, 0);
    fill_rotary_table(rotary, shared ? counted : at<const std::int32_t>(call.positions), rows, cos, sin, context_.pool);
    args.table = {cos, sin};
    args.row_batch = shared ? 0 : call.length;
  }
  rotate(rotary, args, context_.pool);
  return Status::kOk;
}

Status Engine::analyze_heads(const AnalysisCall& call, const VisibilityCall& visibility) {
  HEADWISE_RETURN_IF_ERROR(context_.arena.reserve(analysis_scratch(call.keys, context_.pool.threads())));
  headwise::analyze_heads({.B = call.batch,
                           .H = call.heads,
                           .L = call.queries,
                           .S = call.keys,
                           .weights = at<const float>(call.weights),
                           .visibility = visibility_of(visibility),
                           .tokens = at<const std::int32_t>(call.tokens),
                           .token_batch = call.tokens_of_each_row ? call.keys : 0},
                          context_, at<HeadStatistics>(call.statistics));
  return Status::kOk;
}

std::unique_ptr<Module> Engine::multi_head_attention(const MultiHeadAttentionConfig& config, Pointer kv_heads,
                                                     std::uint32_t seed) {
  std::unique_ptr<Module> module(new (std::nothrow) Module(context_));
  if (module == nullptr || module->attention.create(config, at<const std::uint32_t>(kv_heads)) != Status::kOk ||
      module->attention.initialize(seed, context_) != Status::kOk) {
    return nullptr;
  }
  return module;
}

}  // namespace headwise::bindings
