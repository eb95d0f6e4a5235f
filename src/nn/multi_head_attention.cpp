#include "nn/multi_head_attention.hpp"

#include <algorithm>

#include "attention/scaled_dot_product.hpp"

namespace headwise {
namespace {

using Config = MultiHeadAttentionConfig;

// What passes from step to step; each head owns a slice of every row.
struct Activations {
  float* query;  // [B, L, H*D]
  float* key;    // [B, S, H*D]
  float* value;  // [B, S, H*Dv]
  float* heads;  // [B, L, H*Dv], the heads' outputs, concatenated
};

AttentionShape shape_of(const Config& config, const ForwardArgs& args) {
  return {args.B, config.num_heads, config.num_heads, args.L, args.S, config.head_dim, config.value_head_dim};
}

std::uint64_t activations_size(const AttentionShape& shape) {
  const std::uint64_t heads = std::uint64_t{shape.B} * shape.H;
  return Arena::padded(heads * shape.L * shape.D) + Arena::padded(heads * shape.S * shape.D) +
         Arena::padded(heads * shape.S * shape.Dv) + Arena::padded(heads * shape.L * shape.Dv);
}

Activations take_activations(const AttentionShape& shape, Arena& arena) {
  const std::size_t heads = shape.B * shape.H;
  return {arena.take(heads * shape.L * shape.D), arena.take(heads * shape.S * shape.D),
          arena.take(heads * shape.S * shape.Dv), arena.take(heads * shape.L * shape.Dv)};
}

// Calls fn(range of heads) for each run of heads that are not gated off, or once for all heads.
template <class Fn>
void for_each_open_run(const float* gates, std::size_t H, bool all, const Fn& fn) {
  const auto open = [&](std::size_t h) { return all || gates[h] != 0.0f; };
  for (std::size_t h = 0; h < H; ++h) {
    if (!open(h)) continue;
    const std::size_t first = h;
    while (h < H && open(h)) ++h;
    fn(Range{first, h});
  }
}

// Queries, keys and values of the heads that will attend.
void project(const Config& config, const ForwardArgs& args, const std::array<Linear, 4>& projections,
             const float* gates, const Activations& activations, ThreadPool& pool) {
  const bool all = args.weights != nullptr || args.head_output == HeadOutput::kValues;
  for_each_open_run(gates, config.num_heads, all, [&](Range heads) {
    const auto outputs = [&](std::size_t width) { return Range{heads.begin * width, heads.end * width}; };
    const Range qk = outputs(config.head_dim), v = outputs(config.value_head_dim);
    projections[0].forward_outputs(qk, args.query, args.B * args.L, activations.query, pool);
    projections[1].forward_outputs(qk, args.key, args.B * args.S, activations.key, pool);
    projections[2].forward_outputs(v, args.value, args.B * args.S, activations.value, pool);
  });
}

// The heads' outputs, concatenated, through the output projection: only the columns of heads that are not gated off.
void combine(const Config& config, const ForwardArgs& args, const Linear& out, const float* gates,
             const Activations& activations, ThreadPool& pool) {
  const std::size_t rows = args.B * args.L, Dv = config.value_head_dim;
  bool add = false;
  for_each_open_run(gates, config.num_heads, false, [&](Range heads) {
    out.forward_inputs({heads.begin * Dv, heads.end * Dv}, add, activations.heads, rows, args.output, pool);
    add = true;
  });
  if (!add) out.forward_inputs({0, 0}, false, activations.heads, rows, args.output, pool);  // the bias alone
}

// Every head attends with its slices, in parallel. Gates are left to `combine` when the ungated values are asked for.
void attend(const Config& config, const ForwardArgs& args, const float* gates, const Activations& activations,
            Context& context) {
  AttentionArgs attention_args;
  const auto H = config.num_heads, D = config.head_dim, Dv = config.value_head_dim;
  attention_args.shape = shape_of(config, args);
  attention_args.query = HeadView<const float>::heads_in_rows(activations.query, H, args.L, D);
  attention_args.key = HeadView<const float>::heads_in_rows(activations.key, H, args.S, D);
  attention_args.value = HeadView<const float>::heads_in_rows(activations.value, H, args.S, Dv);
  attention_args.output = HeadView<float>::heads_in_rows(activations.heads, H, args.L, Dv);
  attention_args.weights = args.weights;
  attention_args.visibility = args.visibility;
  attention_args.scale = config.scale;
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

Status MultiHeadAttention::create(const Config& config) {
  config_ = config;
  const std::size_t H = config.num_heads;
  HEADWISE_RETURN_IF_ERROR(projections_[kQuery].create(config.embed_dim, H * config.head_dim, config.qkv_bias));
  HEADWISE_RETURN_IF_ERROR(projections_[kKey].create(config.key_dim, H * config.head_dim, config.qkv_bias));
  HEADWISE_RETURN_IF_ERROR(projections_[kValue].create(config.value_dim, H * config.value_head_dim, config.qkv_bias));
  HEADWISE_RETURN_IF_ERROR(projections_[kOut].create(H * config.value_head_dim, config.output_dim, config.out_bias));
  HEADWISE_RETURN_IF_ERROR(gates_.reserve(H));
  std::fill_n(gates_.data(), H, 1.0f);
  return Status::kOk;
}

Status MultiHeadAttention::forward(const ForwardArgs& args, Context& context) const {
  const AttentionShape shape = shape_of(config_, args);
  HEADWISE_RETURN_IF_ERROR(
      context.arena.reserve(activations_size(shape) + attention_scratch(shape, context.pool.threads())));
  const Activations activations = take_activations(shape, context.arena);

  project(config_, args, projections_, gates_.data(), activations, context.pool);
  attend(config_, args, gates_.data(), activations, context);
  if (args.head_output == HeadOutput::kValues) {
    write_values_and_gate(config_, args, gates_.data(), activations.heads);
  } else if (args.head_output == HeadOutput::kContributions) {
    write_contributions(config_, args, projections_[kOut], activations.heads, context.pool);
  }
  combine(config_, args, projections_[kOut], gates_.data(), activations, context.pool);
  return Status::kOk;
}

}  // namespace headwise
