#include "nn/attention_steps.hpp"

#include <algorithm>

#include "kernels/rows.hpp"

namespace headwise {

AttentionArgs attention_args(const MultiHeadAttentionConfig& config, const ForwardArgs& args,
                             const Activations& activations, const float* slopes, const std::uint32_t* kv_heads) {
  AttentionArgs attention;
  const auto H = config.num_heads, G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  attention.shape = shape_of(config, args);
  attention.query = HeadView<const float>::heads_in_rows(activations.query, H, args.L, D);
  if (args.cache == nullptr) {
    attention.key = HeadView<const float>::heads_in_rows(activations.key, G, args.S, D);
    attention.value = HeadView<const float>::heads_in_rows(activations.value, G, args.S, Dv);
  } else {
    attention.key = args.cache->keys();
    attention.value = args.cache->values();
  }
  attention.visibility = args.visibility;
  attention.kv_heads.table = kv_heads;
  attention.scale = config.scale;
  attention.softcap = config.softcap;
  attention.slopes = config.alibi ? slopes : nullptr;
  attention.dropout = args.dropout;
  return attention;
}

void rotate_queries_and_keys(const MultiHeadAttentionConfig& config, const ForwardArgs& args, Rotation rotation,
                             float* query, float* key, const RotaryTable& table, ThreadPool& pool) {
  if (config.rope_dim == 0) return;
  const auto rotate_in_place = [&](float* x, std::size_t heads, const TokenPositions& positions) {
    const auto view = HeadView<float>::heads_in_rows(x, heads, positions.L, config.head_dim);
    rotate_to_positions(config.rotary(), {positions.B, heads, positions.L, config.head_dim, view, view}, positions,
                        rotation, table, pool);
  };
  const std::int32_t* offsets = args.visibility.offsets;
  rotate_in_place(query, config.num_heads, {args.B, args.L, args.query_positions, offsets});
  rotate_in_place(key, config.num_kv_heads,
                  {args.B, args.projected_keys(), args.key_positions, args.cache == nullptr ? nullptr : offsets});
}

void change_weights(const AttentionArgs& args, const Probe& probe, float* rows, ThreadPool& pool) {
  const AttentionShape& shape = args.shape;
  const std::size_t S = shape.S, Dv = shape.Dv;
  const auto weights = HeadView<float>::heads_first(args.weights, shape.H, shape.L, S);
  const double flops = 2.0 * static_cast<double>(shape.B * shape.H * shape.L) * static_cast<double>(S * Dv);
  pool.parallel_for(shape.B * shape.H * shape.L, flops, [&](std::size_t task, std::size_t worker) {
    const std::size_t i = task % shape.L, h = task / shape.L % shape.H, b = task / shape.L / shape.H;
    float *row_bhi = weights.at(b, h, i), *own_bhi = rows + worker * S, *output_row_bhi = args.output.at(b, h, i);
    std::copy_n(row_bhi, S, own_bhi);
    probe.change(Place::kWeights, b, h, i, S, row_bhi);
    const float gate = args.gates == nullptr ? 1.0f : args.gates[h];
    if (gate == 0.0f || std::equal(row_bhi, row_bhi + S, own_bhi)) return;
    std::fill_n(output_row_bhi, Dv, 0.0f);
    add_weighted_rows_skipping_zeros(row_bhi, args.value.at(b, args.kv_heads.of(h, shape), 0), args.value.row, S, Dv,
                                     output_row_bhi);
    for (std::size_t n = 0; n < Dv; ++n) output_row_bhi[n] *= gate;
  });
  probe.read(Place::kWeights, {shape.B, shape.H, shape.L, S}, weights);
}

void gate_heads(const float* gates, std::size_t H, std::size_t Dv, std::size_t rows, const float* heads, float* gated) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t h = 0; h < H; ++h, heads += Dv, gated += Dv) {
      for (std::size_t n = 0; n < Dv; ++n) gated[n] = gates[h] == 0.0f ? 0.0f : heads[n] * gates[h];
    }
  }
}

bool any_gated(const float* gates, std::size_t H) {
  return std::any_of(gates, gates + H, [](float gate) { return gate != 1.0f; });
}

}  // namespace headwise
