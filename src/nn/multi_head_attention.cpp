#include "nn/multi_head_attention.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "attention/append.hpp"
#include "nn/attention_steps.hpp"

namespace headwise {
namespace {

using Config = MultiHeadAttentionConfig;

// slopes[h]: 2^(-8 (h + 1) / H) if H is a power of two; otherwise those of the next lower power, then every other one
// of the next higher power (Press et al. 2022, in its published code).
void fill_alibi_slopes(float* slopes, std::size_t H) {
  const std::size_t lower = std::bit_floor(H);
  double ratio = 0x1p-8;  // 2^(-8 / lower), by square roots, because std::exp2 would add its tables to the binary
  for (std::size_t power = lower; power > 1; power /= 2) ratio = std::sqrt(ratio);
  double slope = 1.0;
  for (std::size_t h = 0; h < lower; ++h) slopes[h] = static_cast<float>(slope *= ratio);
  slope = std::sqrt(ratio);
  for (std::size_t h = lower; h < H; ++h, slope *= ratio) slopes[h] = static_cast<float>(slope);
}

// The scratch of a forward pass.
struct Workspace {
  Activations activations;
  RotaryTable angles;
  AttentionScratch attention;
  float* weights;  // [B, H, L, S], where they are to be changed
  float* rows;     // [threads, S], likewise
  float* scales;   // [B, L, H] or [B, T, G], where a probe visits the norms of queries and keys
};

// attention: the shape that its scratch is for. kept: the arena of the activations, which is the tape's in
// training, otherwise `arena`.
Workspace take_workspace(const Config& config, const ForwardArgs& args, const AttentionShape& attention,
                         bool keep_ungated, std::size_t threads, Arena& kept, Arena& arena) {
  const std::uint64_t B = args.B, L = args.L, T = args.projected_keys();
  const std::uint64_t H = config.num_heads, G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  Workspace workspace;
  Activations& activations = workspace.activations;
  activations.query = kept.take(B * L * H * D);
  activations.key = kept.take(B * T * G * D);
  const bool keep_projected = config.query_key_norm && args.tape != nullptr;
  activations.projected_query = keep_projected ? kept.take(B * L * H * D) : activations.query;
  activations.projected_key = keep_projected ? kept.take(B * T * G * D) : activations.key;
  activations.value = kept.take(B * T * G * Dv);
  activations.heads = kept.take(B * L * H * Dv);
  activations.gated = keep_ungated ? kept.take(B * L * H * Dv) : activations.heads;
  workspace.angles = take_rotary_table(config, args, arena);
  workspace.attention = take_attention_scratch(attention, threads, arena);
  const bool edited = args.probe != nullptr && args.probe->changes(Place::kWeights);
  workspace.weights = arena.take(edited ? B * H * L * args.S : 0);
  workspace.rows = arena.take(edited ? threads * std::uint64_t{args.S} : 0);
  workspace.scales = arena.take(config.query_key_norm && args.probe != nullptr ? B * std::max(L * H, T * G) : 0);
  return workspace;
}

// Calls fn(range) for each run of consecutive open numbers in [0, count).
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
             const float* gates, const KvHeads& kv_heads, const Activations& activations, Context& context) {
  const bool all = args.weights != nullptr || args.head_output == HeadOutput::kValues || args.tape != nullptr ||
                   args.probe != nullptr;
  const AttentionShape shape = shape_of(config, args);
  const std::size_t rows = args.B * args.L, key_rows = args.B * args.projected_keys();
  const auto open = [&](std::size_t h) { return all || gates[h] != 0.0f; };
  const auto read = [&](std::size_t g) {
    if (args.cache != nullptr) return true;  // a cache must have all heads, because gates may change
    for (std::size_t h = kv_heads.first_query(g, shape); h < kv_heads.first_query(g + 1, shape); ++h) {
      if (open(h)) return true;
    }
    return false;
  };
  const auto outputs = [](Range heads, std::size_t width) { return Range{heads.begin * width, heads.end * width}; };
  for_each_open_run(config.num_heads, open, [&](Range heads) {
    projections[0].forward_outputs(outputs(heads, config.head_dim), args.query, rows, activations.projected_query,
                                   context);
  });
  for_each_open_run(config.num_kv_heads, read, [&](Range heads) {
    projections[1].forward_outputs(outputs(heads, config.head_dim), args.key_input(), key_rows,
                                   activations.projected_key, context);
    projections[2].forward_outputs(outputs(heads, config.value_head_dim), args.value_input(), key_rows,
                                   activations.value, context);
  });
}

// Appends the new keys and values to those in the cache.
void append_to_cache(const Config& config, const ForwardArgs& args, const Activations& activations) {
  const std::size_t G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  const auto key = HeadView<const float>::heads_in_rows(activations.key, G, args.L, D);
  const auto value = HeadView<const float>::heads_in_rows(activations.value, G, args.L, Dv);
  for (std::size_t b = 0; b < args.B; ++b) {
    const auto earlier = static_cast<std::size_t>(args.visibility.offsets[b]);
    const std::size_t fresh = static_cast<std::size_t>(args.visibility.key_lengths[b]) - earlier;
    append_rows(key, b, G, fresh, D, args.cache->keys(), earlier);
    append_rows(value, b, G, fresh, Dv, args.cache->values(), earlier);
    if (args.weights == nullptr) continue;
    for (std::size_t g = 0; g < G; ++g) {  // empty places have score 0
      std::fill(args.cache->keys().at(b, g, earlier + fresh), args.cache->keys().at(b, g, args.S), 0.0f);
    }
  }
}

// The concatenated outputs of the heads times the output projection, without the columns of heads with gate 0.
void combine(const Config& config, const ForwardArgs& args, const Linear& out, const float* gates,
             const Activations& activations, Context& context) {
  const std::size_t rows = args.B * args.L, Dv = config.value_head_dim;
  Start start = Start::kBias;
  const auto add = [&](Range inputs) {
    out.forward_inputs(inputs, start, activations.gated, rows, args.output, context);
    start = Start::kOutput;
  };
  const auto open = [&](std::size_t h) { return gates[h] != 0.0f; };
  for_each_open_run(config.num_heads, open, [&](Range heads) { add({heads.begin * Dv, heads.end * Dv}); });
  if (start == Start::kBias) add({0, 0});  // only the bias
}

// Shows the probe what is at a place in the heads' rows.   x: [B, length, heads * width]
void show(const ForwardArgs& args, Place place, float* x, std::size_t heads, std::size_t length, std::size_t width) {
  if (args.probe == nullptr) return;
  args.probe->visit(place, {args.B, heads, length, width}, HeadView<float>::heads_in_rows(x, heads, length, width));
}

// Every head attends with its slices, in parallel. If ungated values are needed, gate_heads applies the gates later.
void attend(const Config& config, const ForwardArgs& args, const float* gates, const float* slopes,
            const std::uint32_t* kv_heads, const Workspace& workspace, Context& context) {
  AttentionArgs attention_to = attention_args(config, args, workspace.activations, slopes, kv_heads);
  attention_to.output =
      HeadView<float>::heads_in_rows(workspace.activations.heads, config.num_heads, args.L, config.value_head_dim);
  attention_to.weights = args.weights;
  attention_to.stage = args.stage;
  attention_to.gates = gates;
  if (args.weights != nullptr && args.stage != WeightsStage::kProbabilities) {
    attention(attention_to, workspace.attention, context);  // the outputs of scores in base e are rounded differently
    attention_to.weights = nullptr;
    attention_to.stage = WeightsStage::kProbabilities;
  }
  const bool edited = args.probe != nullptr && args.probe->changes(Place::kWeights);
  if (edited && attention_to.weights == nullptr) attention_to.weights = workspace.weights;
  attention(attention_to, workspace.attention, context);
  if (edited) change_weights(attention_to, *args.probe, workspace.rows, context.pool);
}

// contributions[b, h] = heads[b, :, h] W_out[:, h]^T: each head through its own slice of the output projection.
void write_contributions(const Config& config, const ForwardArgs& args, const Linear& out, const float* heads,
                         Context& context) {
  const auto H = config.num_heads, Dv = config.value_head_dim;
  for (std::size_t task = 0; task < args.B * H; ++task) {
    const std::size_t b = task / H, h = task % H;
    out.forward_inputs({h * Dv, (h + 1) * Dv}, Start::kZero, heads + b * args.L * H * Dv, args.L,
                       args.heads + task * args.L * config.output_dim, context);
  }
}

}  // namespace

Status MultiHeadAttention::create(const Config& config, const std::uint32_t* kv_heads) {
  config_ = config;
  gate_gradients_.release();
  const std::size_t H = config.num_heads, G = config.num_kv_heads, D = config.head_dim, Dv = config.value_head_dim;
  HEADWISE_RETURN_IF_ERROR(projections_[kQuery].create(config.embed_dim, H * D, config.qkv_bias, config.weight_format));
  HEADWISE_RETURN_IF_ERROR(projections_[kKey].create(config.key_dim, G * D, config.qkv_bias, config.weight_format));
  HEADWISE_RETURN_IF_ERROR(
      projections_[kValue].create(config.value_dim, G * Dv, config.qkv_bias, config.weight_format));
  HEADWISE_RETURN_IF_ERROR(projections_[kOut].create(H * Dv, config.output_dim, config.out_bias, config.weight_format));
  HEADWISE_RETURN_IF_ERROR(gates_.reserve(H));
  HEADWISE_RETURN_IF_ERROR(slopes_.reserve(config.alibi ? H : 0));
  HEADWISE_RETURN_IF_ERROR(kv_heads_.reserve(H));
  std::fill_n(gates_.data(), H, 1.0f);
  auto* table = reinterpret_cast<std::uint32_t*>(kv_heads_.data());
  for (std::size_t h = 0; h < H; ++h)
    table[h] = kv_heads == nullptr ? static_cast<std::uint32_t>(h * G / H) : kv_heads[h];
  if (config.alibi) fill_alibi_slopes(slopes_.data(), H);
  if (config.rope_frequencies != nullptr) {
    const std::size_t pairs = config.rope_dim / 2;
    HEADWISE_RETURN_IF_ERROR(frequencies_.reserve(2 * std::uint64_t{pairs}));
    auto* frequencies = reinterpret_cast<double*>(frequencies_.data());
    std::copy_n(config.rope_frequencies, pairs, frequencies);
    config_.rope_frequencies = frequencies;
  }
  if (!config.query_key_norm) return Status::kOk;
  const NormConfig norm{NormKind::kRms, false, config.norm_epsilon};
  HEADWISE_RETURN_IF_ERROR(query_norm_.create(norm, D));
  return key_norm_.create(norm, D);
}

Status MultiHeadAttention::create_kept(const Config& whole, const std::uint32_t* kept, std::size_t count) {
  AlignedBuffer kv_heads, slopes;
  HEADWISE_RETURN_IF_ERROR(kv_heads.reserve(count));
  auto* table = reinterpret_cast<std::uint32_t*>(kv_heads.data());
  Config config = whole;
  config.num_heads = count;
  config.num_kv_heads = 0;
  for (std::size_t n = 0, last = 0; n < count; ++n) {
    const std::size_t g = kept[n] * whole.num_kv_heads / whole.num_heads;
    if (n == 0 || g != last) ++config.num_kv_heads;
    table[n] = static_cast<std::uint32_t>(config.num_kv_heads - 1);
    last = g;
  }
  HEADWISE_RETURN_IF_ERROR(create(config, table));
  if (!whole.alibi) return Status::kOk;
  HEADWISE_RETURN_IF_ERROR(slopes.reserve(whole.num_heads));
  fill_alibi_slopes(slopes.data(), whole.num_heads);
  for (std::size_t n = 0; n < count; ++n) slopes_.data()[n] = slopes.data()[kept[n]];
  return Status::kOk;
}

Status MultiHeadAttention::forward(const ForwardArgs& args, Context& context) const {
  AttentionTape* tape = args.tape;
  if (args.B == 0 || args.L == 0) {  // for any number of the others
    if (tape != nullptr) tape->record_nothing(args);
    return Status::kOk;
  }
  const float* gates = gates_.data();
  const std::size_t H = config_.num_heads, G = config_.num_kv_heads, Dv = config_.value_head_dim;
  const std::size_t threads = context.pool.threads();
  const bool keep_ungated = tape != nullptr && any_gated(gates, H);
  const AttentionShape shape = shape_of(config_, args);
  const auto inputs_kept_by = [&](Arena& memory) {
    return copy_inputs(args, config_.embed_dim, config_.key_dim, config_.value_dim, memory);
  };

  Arena scratch, kept;
  take_workspace(config_, args, shape, keep_ungated, threads, tape == nullptr ? scratch : kept, scratch);
  std::uint64_t floats = scratch.used();
  if (args.cache != nullptr) {  // the room of a step with a full cache, so that no later step allocates
    AttentionShape full = shape;
    full.L = 1;
    full.S = args.cache->capacity();
    Arena then;
    take_workspace(config_, args, full, keep_ungated, threads, then, then);
    floats = std::max(floats, then.used());
  }
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(floats));
  HEADWISE_RETURN_IF_ERROR(Linear::make_room(config_.weight_format, context));
  if (tape != nullptr) {
    inputs_kept_by(kept);
    HEADWISE_RETURN_IF_ERROR(tape->reserve(kept.used()));
    tape->args = inputs_kept_by(tape->memory);
  }
  const Workspace workspace = take_workspace(config_, args, shape, keep_ungated, threads,
                                             tape == nullptr ? context.arena : tape->memory, context.arena);
  const Activations& activations = workspace.activations;

  project(config_, args, projections_, gates, {kv_heads()}, activations, context);
  if (config_.query_key_norm) {  // rows of D numbers
    forward_norm(query_norm_, args.probe, Place::kQueryNorm, args.B, H, args.L, activations.projected_query,
                 activations.query, workspace.scales, context.pool);
    forward_norm(key_norm_, args.probe, Place::kKeyNorm, args.B, G, args.projected_keys(), activations.projected_key,
                 activations.key, workspace.scales, context.pool);
  }
  rotate_queries_and_keys(config_, args, Rotation::kForward, activations.query, activations.key, workspace.angles,
                          context.pool);
  show(args, Place::kQuery, activations.query, H, args.L, config_.head_dim);
  show(args, Place::kKey, activations.key, G, args.projected_keys(), config_.head_dim);
  show(args, Place::kValue, activations.value, G, args.projected_keys(), Dv);
  if (args.cache != nullptr) append_to_cache(config_, args, activations);
  const bool probed = args.probe != nullptr && args.probe->visits(Place::kHeads);
  const bool gate_later = keep_ungated || probed || args.head_output == HeadOutput::kValues;
  attend(config_, args, gate_later || tape != nullptr ? nullptr : gates, slopes_.data(), kv_heads(), workspace,
         context);
  show(args, Place::kHeads, activations.heads, H, args.L, Dv);
  if (args.head_output == HeadOutput::kValues) {
    copy_rows({args.B, H, args.L, Dv}, HeadView<const float>::heads_in_rows(activations.heads, H, args.L, Dv),
              args.heads);
  }
  if (gate_later) gate_heads(gates, H, Dv, args.B * args.L, activations.heads, activations.gated);
  if (args.head_output == HeadOutput::kContributions) {
    write_contributions(config_, args, projections_[kOut], activations.gated, context);
  }
  combine(config_, args, projections_[kOut], gates, activations, context);
  if (tape != nullptr) {
    tape->activations = activations;
    tape->ready = true;
  }
  return Status::kOk;
}

}  // namespace headwise
