#include "nn/multi_head_attention.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "attention/append.hpp"
#include "nn/attention_steps.hpp"

namespace headwise {
namespace {

using Config = MultiHeadAttentionConfig;

// With a cache, the new tokens alone.
std::size_t projected_keys(const ForwardArgs& args) { return args.cache == nullptr ? args.S : args.L; }

// 2^(-8 (h + 1) / H) where H is a power of two; else those of the next lower power, then every other one of the next
// higher (Press et al. 2022, in the code published with it).
float alibi_slope(std::size_t h, std::size_t H) {
  const std::size_t lower = std::bit_floor(H);
  const std::size_t of = h < lower ? lower : 2 * lower, n = h < lower ? h + 1 : 2 * (h - lower) + 1;
  double ratio = 0x1p-8, slope = 1.0;  // ratio: 2^(-8 / of), by square roots, since std::exp2 would bring its tables
  for (std::size_t power = of; power > 1; power /= 2) ratio = std::sqrt(ratio);
  for (std::size_t factor = 0; factor < n; ++factor) slope *= ratio;
  return static_cast<float>(slope);
}

// Floats that attention takes: with a cache as many as it will take when that is full, so that no step allocates.
std::uint64_t attention_scratch(const Config& config, const ForwardArgs& args, std::size_t threads) {
  AttentionShape shape = shape_of(config, args);
  const std::uint64_t now = attention_scratch(shape, threads);
  if (args.cache == nullptr) return now;
  shape.L = 1;
  shape.S = args.cache->capacity();
  return std::max(now, attention_scratch(shape, threads));
}

// Calls fn(piece, floats) for each of the activations, in an order that is always the same.
template <class Fn>
void for_each_piece(const Config& config, const ForwardArgs& args, bool keep_ungated, Activations& activations,
                    const Fn& fn) {
  const std::uint64_t B = args.B, L = args.L, T = projected_keys(args), H = config.num_heads, G = config.num_kv_heads;
  fn(activations.query, B * L * H * config.head_dim);
  fn(activations.key, B * T * G * config.head_dim);
  fn(activations.value, B * T * G * config.value_head_dim);
  fn(activations.heads, B * L * H * config.value_head_dim);
  if (keep_ungated) {
    fn(activations.gated, B * L * H * config.value_head_dim);
  } else {
    activations.gated = activations.heads;
  }
}

// Calls fn(range) for each run of numbers in [0, count) that are open, once for all of them where all are.
template <class Open, class Fn>
void for_each_open_run(std::size_t count, const Open& open, const Fn& fn) {
  for (std::size_t n = 0; n < count; ++n) {
    if (!open(n)) continue;
    const std::size_t first = n;
    while (n < count && open(n)) ++n;
    fn(Range{first, n});
  }
}

// Queries of the heads that will attend, and the keys and values that they read.
void project(const Config& config, const ForwardArgs& args, const std::array<Linear, 4>& projections,
             const float* gates, const std::uint32_t* kv_heads, const Activations& activations, ThreadPool& pool) {
  const bool all = args.weights != nullptr || args.head_output == HeadOutput::kValues || args.tape != nullptr;
  const std::size_t T = projected_keys(args), H = config.num_heads;
  const auto open = [&](std::size_t h) { return all || gates[h] != 0.0f; };
  // What is remembered must be complete: gates may change.
  const auto read = [&](std::size_t g) {
    for (std::size_t h = 0; h < H; ++h) {
      if (kv_heads[h] == g && open(h)) return true;
    }
    return args.cache != nullptr;
  };
  const auto outputs = [](Range heads, std::size_t width) { return Range{heads.begin * width, heads.end * width}; };
  for_each_open_run(H, open, [&](Range heads) {
    projections[0].forward_outputs(outputs(heads, config.head_dim), args.query, args.B * args.L, activations.query,
                                   pool);
  });
  for_each_open_run(config.num_kv_heads, read, [&](Range heads) {
    projections[1].forward_outputs(outputs(heads, config.head_dim), args.key, args.B * T, activations.key, pool);
    projections[2].forward_outputs(outputs(heads, config.value_head_dim), args.value, args.B * T, activations.value,
                                   pool);
  });
}

// Rotary embedding of queries and keys.
void embed_positions(const Config& config, const ForwardArgs& args, const Activations& activations,
                     const Angles& angles, ThreadPool& pool) {
  if (config.rope_dim == 0) return;
  const std::int32_t* offsets = args.visibility.offsets;
  turn(config, Turn::kForward, activations.query, args.B, args.L, config.num_heads, args.query_positions, offsets,
       angles, pool);
  turn(config, Turn::kForward, activations.key, args.B, projected_keys(args), config.num_kv_heads, args.key_positions,
       args.cache == nullptr ? nullptr : offsets, angles, pool);
}

// Puts the new keys and values behind the earlier ones.
void remember(const Config& config, const ForwardArgs& args, const Activations& activations) {
  const std::size_t G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  const auto key = HeadView<const float>::heads_in_rows(activations.key, G, args.L, D);
  const auto value = HeadView<const float>::heads_in_rows(activations.value, G, args.L, Dv);
  for (std::size_t b = 0; b < args.B; ++b) {
    const auto earlier = static_cast<std::size_t>(args.visibility.offsets[b]);
    const std::size_t fresh = static_cast<std::size_t>(args.visibility.key_lengths[b]) - earlier;
    append_rows(key, b, G, fresh, D, args.cache->keys(), earlier);
    append_rows(value, b, G, fresh, Dv, args.cache->values(), earlier);
    if (args.weights == nullptr) continue;
    for (std::size_t g = 0; g < G; ++g) {  // places that are still empty score 0
      std::fill(args.cache->keys().at(b, g, earlier + fresh), args.cache->keys().at(b, g, args.S), 0.0f);
    }
  }
}

// The heads' outputs, concatenated, through the output projection: only the columns of heads that are not gated off.
void combine(const Config& config, const ForwardArgs& args, const Linear& out, const float* gates,
             const Activations& activations, ThreadPool& pool) {
  const std::size_t rows = args.B * args.L, Dv = config.value_head_dim;
  bool add = false;
  const auto open = [&](std::size_t h) { return gates[h] != 0.0f; };
  for_each_open_run(config.num_heads, open, [&](Range heads) {
    out.forward_inputs({heads.begin * Dv, heads.end * Dv}, add, activations.gated, rows, args.output, pool);
    add = true;
  });
  if (!add) out.forward_inputs({0, 0}, false, activations.gated, rows, args.output, pool);  // the bias alone
}

// Every head attends with its slices, in parallel. Gates are left to gate_heads where ungated values are needed.
void attend(const Config& config, const ForwardArgs& args, const float* gates, const float* slopes,
            const std::uint32_t* kv_heads, const Activations& activations, Context& context) {
  AttentionArgs attention_to = attention_args(config, args, activations, slopes, kv_heads);
  attention_to.output =
      HeadView<float>::heads_in_rows(activations.heads, config.num_heads, args.L, config.value_head_dim);
  attention_to.weights = args.weights;
  attention_to.stage = args.stage;
  attention_to.gates = gates;
  attention(attention_to, context);
}

// values: [B, H, L, Dv], copied from the concatenated heads [B, L, H*Dv].
void write_values(const Config& config, const ForwardArgs& args, const float* heads) {
  const auto H = config.num_heads, Dv = config.value_head_dim;
  for (std::size_t b = 0; b < args.B; ++b) {
    for (std::size_t i = 0; i < args.L; ++i) {
      for (std::size_t h = 0; h < H; ++h) {
        std::copy_n(heads + ((b * args.L + i) * H + h) * Dv, Dv, args.heads + ((b * H + h) * args.L + i) * Dv);
      }
    }
  }
}

// contributions[b, h] = heads[b, :, h] W_out[:, h]^T: each head through its own slice of the output projection.
void write_contributions(const Config& config, const ForwardArgs& args, const Linear& out, const float* heads,
                         ThreadPool& pool) {
  const auto H = config.num_heads, Dv = config.value_head_dim;
  const RowPanels panels(args.L);
  const double flops =
      2.0 * static_cast<double>(args.B * args.L) * static_cast<double>(H * Dv) * static_cast<double>(config.output_dim);
  pool.parallel_for(args.B * H, flops, [&](std::size_t task, std::size_t) {
    const std::size_t b = task / H, h = task % H;
    gemm(heads + (b * args.L * H + h) * Dv, H * Dv, panels, {0, panels.count}, out.input_slice(h * Dv, Dv),
         {0, simd::tiles(config.output_dim)}, Start::kZero, nullptr, args.heads + task * args.L * config.output_dim,
         config.output_dim);
  });
}

}  // namespace

Status MultiHeadAttention::create(const Config& config, const std::uint32_t* kv_heads) {
  config_ = config;
  gate_gradients_.release();
  const std::size_t H = config.num_heads, G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  HEADWISE_RETURN_IF_ERROR(projections_[kQuery].create(config.embed_dim, H * D, config.qkv_bias));
  HEADWISE_RETURN_IF_ERROR(projections_[kKey].create(config.key_dim, G * D, config.qkv_bias));
  HEADWISE_RETURN_IF_ERROR(projections_[kValue].create(config.value_dim, G * Dv, config.qkv_bias));
  HEADWISE_RETURN_IF_ERROR(projections_[kOut].create(H * Dv, config.output_dim, config.out_bias));
  HEADWISE_RETURN_IF_ERROR(gates_.reserve(H));
  HEADWISE_RETURN_IF_ERROR(slopes_.reserve(H));
  HEADWISE_RETURN_IF_ERROR(kv_heads_.reserve(H));
  std::fill_n(gates_.data(), H, 1.0f);
  auto* table = reinterpret_cast<std::uint32_t*>(kv_heads_.data());
  for (std::size_t h = 0; h < H; ++h) {
    slopes_.data()[h] = alibi_slope(h, H);
    table[h] = kv_heads == nullptr ? static_cast<std::uint32_t>(h * G / H) : kv_heads[h];
  }
  return Status::kOk;
}

Status MultiHeadAttention::forward(const ForwardArgs& args, Context& context) const {
  AttentionTape* tape = args.tape;
  if (args.B == 0 || args.L == 0) {  // however many of the others there are
    if (tape != nullptr) tape->record_nothing(args);
    return Status::kOk;
  }
  const float* gates = gates_.data();
  const std::size_t H = config_.num_heads, Dv = config_.value_head_dim;
  const bool keep_ungated = tape != nullptr && any_gated(gates, H);
  Activations activations;
  Angles angles;
  std::uint64_t floats = attention_scratch(config_, args, context.pool.threads()), activation_floats = 0;
  for_each_piece(config_, args, keep_ungated, activations,
                 [&](float*, std::uint64_t count) { activation_floats += Arena::padded(count); });
  const std::uint64_t tokens = std::uint64_t{args.B} * std::max(args.L, projected_keys(args));
  angles.for_each_piece(config_, tokens, [&](auto*, std::uint64_t count) { floats += Arena::padded(count); });
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(tape == nullptr ? floats + activation_floats : floats));
  if (tape != nullptr) {
    HEADWISE_RETURN_IF_ERROR(
        tape->record(args, config_.embed_dim, config_.key_dim, config_.value_dim, activation_floats));
  }
  for_each_piece(config_, args, keep_ungated, activations, [&](float*& piece, std::uint64_t count) {
    piece = (tape == nullptr ? context.arena : tape->memory).take(static_cast<std::size_t>(count));
  });
  angles.take(config_, tokens, context.arena);

  project(config_, args, projections_, gates, kv_heads(), activations, context.pool);
  embed_positions(config_, args, activations, angles, context.pool);
  if (args.cache != nullptr) remember(config_, args, activations);
  const bool gate_later = keep_ungated || args.head_output == HeadOutput::kValues;
  attend(config_, args, gate_later || tape != nullptr ? nullptr : gates, slopes_.data(), kv_heads(), activations,
         context);
  if (args.head_output == HeadOutput::kValues) write_values(config_, args, activations.heads);
  if (gate_later) gate_heads(gates, H, Dv, args.B * args.L, activations.heads, activations.gated);
  if (args.head_output == HeadOutput::kContributions) {
    write_contributions(config_, args, projections_[kOut], activations.gated, context.pool);
  }
  combine(config_, args, projections_[kOut], gates, activations, context.pool);
  if (tape != nullptr) {
    tape->activations = activations;
    tape->ready = true;
  }
  return Status::kOk;
}

}  // namespace headwise
