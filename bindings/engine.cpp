#include "engine.hpp"

#include <algorithm>
#include <new>

#include "attention/append.hpp"

namespace headwise::bindings {
namespace {

Visibility visibility_of(const VisibilityCall& call) {
  Visibility visibility;
  visibility.mask = Mask(static_cast<MaskType>(call.mask_type), at<const void>(call.mask),
                         {call.mask_batch, call.mask_heads, call.mask_queries, call.mask_keys});
  if (call.key_mask != 0) {
    visibility.key_mask =
        Mask(MaskType::kUint8, at<const void>(call.key_mask), {call.key_mask_batch, 1, 1, call.key_mask_keys});
  }
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

}  // namespace

void Module::get_gates(Pointer to) { std::copy_n(attention.gates(), attention.config().num_heads, at<float>(to)); }

void Module::set_gates(Pointer from) {
  std::copy_n(at<const float>(from), attention.config().num_heads, attention.gates());
}

Status Module::forward(ForwardArgs args, KvCache* cache, const VisibilityCall& visibility) {
  args.visibility = visibility_of(visibility);
  args.cache = cache;
  return attention.forward(args, context_);
}

Status Module::train_forward(ForwardArgs args, float dropout_rate, std::uint32_t dropout_seed,
                             const VisibilityCall& visibility) {
  args.visibility = visibility_of(visibility);
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

void Module::get_gate_gradient(Pointer to) {
  std::copy_n(attention.gate_gradients(), attention.config().num_heads, at<float>(to));
}

std::unique_ptr<Module> Module::keep_heads(Pointer kept, std::size_t count) {
  std::unique_ptr<Module> smaller(new (std::nothrow) Module(context_));
  if (smaller == nullptr) return nullptr;
  const Status status = attention.keep_heads(at<const std::uint32_t>(kept), count, smaller->attention);
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
  context_.quantized.release();
}

Status Engine::attention(const AttentionCall& call, const VisibilityCall& visibility) {
  AttentionArgs args;
  const std::size_t D = call.head_dim, Dv = call.value_head_dim;
  args.shape = {call.batch, call.heads, call.kv_heads, call.queries, call.past + call.keys, D, Dv};
  args.query = view<const float>(call.heads_first, call.query, call.heads, call.queries, D);
  args.key = view<const float>(call.heads_first, call.key, call.kv_heads, call.keys, D);
  args.value = view<const float>(call.heads_first, call.value, call.kv_heads, call.keys, Dv);
  if (call.present_key != 0) {
    const auto past = [&](Pointer data, std::size_t width) {
      return HeadView<const float>::heads_first(at<const float>(data), call.kv_heads, call.past, width);
    };
    const auto present = [&](Pointer data, std::size_t width) {
      return HeadView<float>::heads_first(at<float>(data), call.kv_heads, args.shape.S, width);
    };
    append_to_past({.length = call.past,
                    .key = past(call.past_key, D),
                    .value = past(call.past_value, Dv),
                    .present_key = present(call.present_key, D),
                    .present_value = present(call.present_value, Dv)},
                   args);
  }
  args.output = view<float>(call.heads_first, call.output, call.heads, call.queries, Dv);
  args.weights = at<float>(call.weights);
  args.stage = static_cast<WeightsStage>(call.weights_stage);
  args.visibility = visibility_of(visibility);
  args.scale = call.scale;
  args.softcap = call.softcap;
  args.gates = at<const float>(call.gates);
  return headwise::attention(args, context_);
}

Status Engine::rotary_embedding(const RotaryCall& call) {
  const Rotary rotary{call.dim, call.base, call.interleaved};
  const auto* positions = at<const std::int32_t>(call.positions);
  RotaryArgs args{call.batch,
                  call.heads,
                  call.length,
                  call.head_dim,
                  view<const float>(call.heads_first, call.input, call.heads, call.length, call.head_dim),
                  view<float>(call.heads_first, call.output, call.heads, call.length, call.head_dim)};
  if (call.cos == 0) return rotate_to_positions(rotary, args, {call.batch, call.length, positions}, context_);
  args.rows = positions;
  args.row_batch = call.length;
  rotate(rotary, args, at<const float>(call.cos), at<const float>(call.sin), context_.pool);
  return Status::kOk;
}

Status Engine::analyze_heads(const AnalysisCall& call, const VisibilityCall& visibility) {
  return headwise::analyze_heads({.B = call.batch,
                                  .H = call.heads,
                                  .L = call.queries,
                                  .S = call.keys,
                                  .weights = at<const float>(call.weights),
                                  .visibility = visibility_of(visibility),
                                  .tokens = at<const std::int32_t>(call.tokens),
                                  .token_batch = call.tokens_of_each_row ? call.keys : 0},
                                 context_, at<HeadStatistics>(call.statistics));
}

std::unique_ptr<Module> Engine::multi_head_attention(const MultiHeadAttentionConfig& config, Pointer kv_heads,
                                                     Pointer frequencies, std::uint32_t seed) {
  std::unique_ptr<Module> module(new (std::nothrow) Module(context_));
  MultiHeadAttentionConfig with_frequencies = config;
  with_frequencies.rope_frequencies = at<const double>(frequencies);
  if (module == nullptr ||
      module->attention.create(with_frequencies, at<const std::uint32_t>(kv_heads)) != Status::kOk ||
      module->attention.initialize(seed, context_) != Status::kOk) {
    return nullptr;
  }
  return module;
}

}  // namespace headwise::bindings
