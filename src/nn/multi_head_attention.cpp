#include "nn/multi_head_attention.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "attention/append.hpp"

namespace headwise {
namespace {

using Config = MultiHeadAttentionConfig;

// What passes from step to step; each head owns a slice of every row. T: tokens whose keys and values are projected.
struct Activations {
  float* query;  // [B, L, H*D]
  float* key;    // [B, T, G*D]
  float* value;  // [B, T, G*Dv]
  float* heads;  // [B, L, H*Dv], the heads' outputs, concatenated
};

// Angles of the rotary embedding, and the positions that they belong to.
struct Angles {
  float* cos;               // [B * max(L, T), rope_dim / 2]
  float* sin;               // the same
  std::int32_t* positions;  // [B * max(L, T)]
};

AttentionShape shape_of(const Config& config, const ForwardArgs& args) {
  return {args.B, config.num_heads, config.num_kv_heads, args.L, args.S, config.head_dim, config.value_head_dim};
}

// With a cache, the new tokens alone.
std::size_t projected_keys(const ForwardArgs& args) { return args.cache == nullptr ? args.S : args.L; }

// 2^(-8 (h + 1) / H) where H is a power of two; else those of the next lower power, then every other one of the next
// higher (Press et al. 2022, in the code published with it).
float alibi_slope(std::size_t h, std::size_t H) {
  const std::size_t lower = std::bit_floor(H);
  const std::size_t of = h < lower ? lower : 2 * lower, n = h < lower ? h + 1 : 2 * (h - lower) + 1;
  return static_cast<float>(std::exp2(-8.0 * static_cast<double>(n) / static_cast<double>(of)));
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

// Calls fn(piece, floats) for each piece of scratch, in an order that is always the same.
template <class Fn>
void for_each_piece(const Config& config, const ForwardArgs& args, Activations& activations, Angles& angles,
                    const Fn& fn) {
  const std::uint64_t B = args.B, L = args.L, T = projected_keys(args), H = config.num_heads, G = config.num_kv_heads;
  fn(activations.query, B * L * H * config.head_dim);
  fn(activations.key, B * T * G * config.head_dim);
  fn(activations.value, B * T * G * config.value_head_dim);
  fn(activations.heads, B * L * H * config.value_head_dim);
  if (config.rope_dim == 0) return;
  const std::uint64_t tokens = B * std::max(L, T);
  fn(angles.cos, tokens * (config.rope_dim / 2));
  fn(angles.sin, tokens * (config.rope_dim / 2));
  fn(angles.positions, tokens);
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
  const bool all = args.weights != nullptr || args.head_output == HeadOutput::kValues;
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

// x: [B, length, heads*D], turned in place: token i of batch row b stands at positions[b * length + i], or where these
// are null at first[b] + i, or at i.
void turn(const Config& config, float* x, std::size_t B, std::size_t length, std::size_t heads,
          const std::int32_t* positions, const std::int32_t* first, const Angles& angles, ThreadPool& pool) {
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t token = b * length + i;
      angles.positions[token] =
          positions != nullptr ? positions[token] : static_cast<std::int32_t>(i) + (first == nullptr ? 0 : first[b]);
    }
  }
  const bool shared = positions == nullptr && first == nullptr;  // one table for all batch rows
  fill_rotary_table(config.rotary(), angles.positions, shared ? length : B * length, angles.cos, angles.sin, pool);
  rotate(config.rotary(),
         {.B = B,
          .H = heads,
          .L = length,
          .D = config.head_dim,
          .from = HeadView<const float>::heads_in_rows(x, heads, length, config.head_dim),
          .to = HeadView<float>::heads_in_rows(x, heads, length, config.head_dim),
          .table = {angles.cos, angles.sin},
          .row_batch = shared ? 0 : length},
         pool);
}

// Rotary embedding of queries and keys.
void embed_positions(const Config& config, const ForwardArgs& args, const Activations& activations,
                     const Angles& angles, ThreadPool& pool) {
  if (config.rope_dim == 0) return;
  const std::int32_t* offsets = args.visibility.offsets;
  turn(config, activations.query, args.B, args.L, config.num_heads, args.query_positions, offsets, angles, pool);
  turn(config, activations.key, args.B, projected_keys(args), config.num_kv_heads, args.key_positions,
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
    out.forward_inputs({heads.begin * Dv, heads.end * Dv}, add, activations.heads, rows, args.output, pool);
    add = true;
  });
  if (!add) out.forward_inputs({0, 0}, false, activations.heads, rows, args.output, pool);  // the bias alone
}

// Every head attends with its slices, in parallel. Gates are left to `combine` when the ungated values are asked for.
void attend(const Config& config, const ForwardArgs& args, const float* gates, const float* slopes,
            const std::uint32_t* kv_heads, const Activations& activations, Context& context) {
  AttentionArgs attention_args;
  const auto H = config.num_heads, G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  attention_args.shape = shape_of(config, args);
  attention_args.query = HeadView<const float>::heads_in_rows(activations.query, H, args.L, D);
  if (args.cache == nullptr) {
    attention_args.key = HeadView<const float>::heads_in_rows(activations.key, G, args.S, D);
    attention_args.value = HeadView<const float>::heads_in_rows(activations.value, G, args.S, Dv);
  } else {
    attention_args.key = args.cache->keys();
    attention_args.value = args.cache->values();
  }
  attention_args.output = HeadView<float>::heads_in_rows(activations.heads, H, args.L, Dv);
  attention_args.weights = args.weights;
  attention_args.stage = args.stage;
  attention_args.visibility = args.visibility;
  attention_args.kv_heads.table = kv_heads;
  attention_args.scale = config.scale;
  attention_args.softcap = config.softcap;
  attention_args.slopes = config.alibi ? slopes : nullptr;
  attention_args.gates = args.head_output == HeadOutput::kValues ? nullptr : gates;
  attention(attention_args, context);
}

// values: [B, H, L, Dv], copied from the concatenated heads [B, L, H*Dv] before these are gated in place.
void write_values_and_gate(const Config& config, const ForwardArgs& args, const float* gates, float* heads) {
  const auto H = config.num_heads, Dv = config.value_head_dim;
  for (std::size_t b = 0; b < args.B; ++b) {
    for (std::size_t i = 0; i < args.L; ++i) {
      for (std::size_t h = 0; h < H; ++h) {
        float* value_row_bhi = heads + ((b * args.L + i) * H + h) * Dv;
        std::copy(value_row_bhi, value_row_bhi + Dv, args.heads + ((b * H + h) * args.L + i) * Dv);
        for (std::size_t n = 0; n < Dv; ++n) value_row_bhi[n] = gates[h] == 0.0f ? 0.0f : value_row_bhi[n] * gates[h];
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
  if (args.B == 0 || args.L == 0) return Status::kOk;  // however many of the others there are
  Activations activations;
  Angles angles;
  std::uint64_t floats = attention_scratch(config_, args, context.pool.threads());
  for_each_piece(config_, args, activations, angles,
                 [&](auto*, std::uint64_t count) { floats += Arena::padded(count); });
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(floats));
  for_each_piece(config_, args, activations, angles, [&](auto*& piece, std::uint64_t count) {
    piece =
        reinterpret_cast<std::remove_reference_t<decltype(piece)>>(context.arena.take(static_cast<std::size_t>(count)));
  });

  project(config_, args, projections_, gates_.data(), kv_heads(), activations, context.pool);
  embed_positions(config_, args, activations, angles, context.pool);
  if (args.cache != nullptr) remember(config_, args, activations);
  attend(config_, args, gates_.data(), slopes_.data(), kv_heads(), activations, context);
  if (args.head_output == HeadOutput::kValues) {
    write_values_and_gate(config_, args, gates_.data(), activations.heads);
  } else if (args.head_output == HeadOutput::kContributions) {
    write_contributions(config_, args, projections_[kOut], activations.heads, context.pool);
  }
  combine(config_, args, projections_[kOut], gates_.data(), activations, context.pool);
  return Status::kOk;
}

}  // namespace headwise
