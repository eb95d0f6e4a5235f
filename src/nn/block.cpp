#include "nn/block.hpp"

#include <algorithm>

#include "nn/residual.hpp"
#include "nn/scratch.hpp"

namespace headwise {
namespace {

// What dropout is applied to in a layer.
enum Dropped : std::uint32_t { kWeights, kAttention, kFeedForward };

Dropout dropout_of(const Block::Args& args, Dropped dropped) {
  return {args.dropout.rate, args.dropout.seed + 0x85157af5 * dropped};
}

}  // namespace

// The layer, where x is the residual stream, and before, after and after_sum are norms or nothing:
//
//   m = after_sum(x + after(attention(before(x))))
//   y = after_sum(m + after(feed_forward(before(m))))        in parallel: feed_forward(before(x))
//
// A capture's probe visits x, the norms' scales, what each sublayer adds, m and y.
Status Block::forward(const Args& args, const Saved& saved, Context& context) {
  const TransformerConfig& c = config_;
  const std::size_t B = args.batch.B, L = args.batch.L, E = c.embed_dim, count = B * L * E;
  const Probe* probe = args.capture == nullptr ? nullptr : &args.capture->probe;
  const auto visit = [&](Place place, float* x) {
    if (probe != nullptr) probe->visit(place, {B, 1, L, E}, HeadView<float>::heads_in_rows(x, 1, L, E));
  };
  const auto norm = [&](bool here, const Norm& layer, Place place, float* x, float* out) {
    if (!here || !layer.exists()) return x;
    forward_norm(layer, probe, place, B, 1, L, x, out, saved.scales, context.pool);
    return out;
  };
  const auto add_to_stream = [&](float* x, const Branch& branch, const Norm& after, const Norm& after_sum,
                                 Dropped dropped, float* y) {
    const bool first = dropped == kAttention;
    const Place scale_after = first ? Place::kNorm1After : Place::kNorm2After;
    float* added = norm(c.norm_after, after, scale_after, branch.output, branch.added);
    visit(first ? Place::kAttention : Place::kFeedForward, added);
    drop(dropout_of(args, dropped), added, count, context.pool);
    add(x, added, branch.sum, count, context.pool);
    norm(c.norm_after_sum, after_sum, first ? Place::kNorm1 : Place::kNorm2, branch.sum, y);
    visit(first ? Place::kMiddle : Place::kAfter, y);
  };

  visit(Place::kBefore, saved.input);
  float* x = norm(c.norm_before, norm1_, Place::kNorm1, saved.input, saved.normed1);
  HEADWISE_RETURN_IF_ERROR(attend(args, x, saved.attention.output, context));
  add_to_stream(saved.input, saved.attention, norm1_after_, norm1_, kAttention, saved.mid);
  if (!has_feed_forward()) {
    visit(Place::kAfter, saved.output);
    return Status::kOk;
  }
  if (!c.shared_norm) {
    x = norm(c.norm_before, norm2_, Place::kNorm2, c.parallel ? saved.input : saved.mid, saved.normed2);
  }
  feed_forward.forward(x, B * L, saved.hidden, saved.feed_forward.output, context);
  add_to_stream(saved.mid, saved.feed_forward, norm2_after_, norm2_, kFeedForward, saved.output);
  return Status::kOk;
}

Status Block::attend(const Args& args, const float* x, float* output, Context& context) {
  const Batch& batch = args.batch;
  const std::int32_t length = batch.first + static_cast<std::int32_t>(batch.L);
  ForwardArgs attend{.B = batch.B, .L = batch.L, .S = static_cast<std::size_t>(length), .query = x, .visibility = {}};
  attend.visibility.causal = config_.causal;
  attend.visibility.window = layer_.window;
  if (batch.mask != nullptr) attend.visibility.mask = Mask(MaskType::kInt32, batch.mask, {batch.B, 1, 1, batch.L});
  attend.query_positions = attend.key_positions = batch.positions;
  attend.output = output;
  if (args.cache != nullptr) {
    attend.cache = args.cache;
    attend.visibility.offsets = &batch.first;
    attend.visibility.key_lengths = &length;
  }
  if (args.capture != nullptr) {
    attend.weights = args.capture->weights;
    attend.stage = args.capture->stage;
    attend.heads = args.capture->heads;
    attend.head_output = args.capture->head_output;
    attend.probe = &args.capture->probe;
  }
  if (args.training) {
    attend.tape = &tape;
    attend.dropout = dropout_of(args, kWeights);
  }
  return attention.forward(attend, context);
}

Status Block::backward(const Args& args, const Saved& saved, const Gradients& gradients, bool learn, float* gradient,
                       Context& context) {
  const TransformerConfig& c = config_;
  const std::size_t rows = args.batch.rows(), count = rows * c.embed_dim, threads = context.pool.threads();
  const auto through_norm = [&](Norm& norm, const float* x, const float* grad_out, float* grad_x) {
    norm.backward(x, grad_out, rows, grad_x, learn, take_scratch(context, norm.backward_scratch(rows)), context.pool);
  };
  const auto read = [&](Place place) {
    if (args.gradients == nullptr) return;
    const std::size_t B = args.batch.B, L = args.batch.L, E = c.embed_dim;
    args.gradients->read(place, {B, 1, L, E}, HeadView<const float>::heads_in_rows(gradient, 1, L, E));
  };
  // From the stream's gradient after a sublayer to the one before the sum; the result: that of the sublayer's output.
  const auto through_sum = [&](const Branch& branch, Norm& after, Norm& after_sum, Dropped dropped) -> const float* {
    if (c.norm_after_sum) {
      std::fill_n(gradients.norm_input, count, 0.0f);
      through_norm(after_sum, branch.sum, gradient, gradients.norm_input);
      std::copy_n(gradients.norm_input, count, gradient);
    }
    read(dropped == kAttention ? Place::kAttention : Place::kFeedForward);
    const Dropout dropout = dropout_of(args, dropped);
    if (dropout.rate == 0.0f && !c.norm_after) return gradient;
    std::copy_n(gradient, count, gradients.branch);
    drop(dropout, gradients.branch, count, context.pool);
    if (!c.norm_after) return gradients.branch;
    std::fill_n(gradients.norm_input, count, 0.0f);
    through_norm(after, branch.output, gradients.branch, gradients.norm_input);
    return gradients.norm_input;
  };
  const auto add_input = [&](Norm& norm, const float* x, const float* grad_input) {
    if (c.norm_before && norm.exists()) return through_norm(norm, x, grad_input, gradient);
    add(gradient, grad_input, gradient, count, context.pool);
  };

  read(Place::kAfter);
  float *of_attention = gradients.of_attention, *of_feed_forward = gradients.of_feed_forward;
  const float* mid = c.parallel ? saved.input : saved.mid;  // what the feed-forward reads, before its norm
  if (has_feed_forward()) {
    const float* out = through_sum(saved.feed_forward, norm2_after_, norm2_, kFeedForward);
    const float* x = c.shared_norm ? saved.normed1 : c.norm_before ? saved.normed2 : mid;
    feed_forward.backward(x, saved.hidden, out, rows, of_feed_forward, false, gradients.active, learn,
                          take_scratch(context, feed_forward.backward_scratch(threads)), context);
    if (!c.parallel) add_input(norm2_, mid, of_feed_forward);
  }
  read(Place::kMiddle);
  const float* out = through_sum(saved.attention, norm1_after_, norm1_, kAttention);
  HEADWISE_RETURN_IF_ERROR(attention.backward(
      tape, {.output = out, .query = of_attention, .sum = true, .probe = args.gradients, .learn = learn}, context));
  if (c.shared_norm) add(of_attention, of_feed_forward, of_attention, count, context.pool);
  if (has_feed_forward() && c.parallel && !c.shared_norm) add_input(norm2_, mid, of_feed_forward);
  add_input(norm1_, saved.input, of_attention);
  read(Place::kBefore);
  return Status::kOk;
}

std::uint64_t Block::backward_scratch(const Batch& batch, std::size_t threads) const {
  ForwardArgs sizes{};
  sizes.B = batch.B;
  sizes.L = sizes.S = batch.L;
  std::uint64_t most = std::max(attention.backward_scratch(sizes, threads), feed_forward.backward_scratch(threads));
  for (const Norm* norm : {&norm1_, &norm1_after_, &norm2_, &norm2_after_}) {
    most = std::max(most, norm->backward_scratch(batch.rows()));
  }
  return most;
}

Block::Saved Block::take(std::size_t rows, bool training, float* input, const Shared& shared, Arena& arena) const {
  const TransformerConfig& c = config_;
  const std::uint64_t stream = std::uint64_t{rows} * c.embed_dim, hidden = std::uint64_t{rows} * c.feed_forward_dim;
  const auto take_if = [&](bool own, std::uint64_t count, float* otherwise) {
    return own ? arena.take(count) : otherwise;
  };
  const auto take_branch = [&](float* y) {
    float* output = take_if(training && c.norm_after, stream, shared.branch);
    return Branch{output, shared.branch, take_if(training && c.norm_after_sum, stream, y)};
  };
  Saved saved{};
  saved.input = input;
  saved.scales = shared.scales;
  saved.normed1 = take_if(training && c.shared_norm, stream, shared.normed);
  saved.mid = take_if(training || c.parallel, stream, input);
  saved.attention = take_branch(saved.mid);
  saved.output = saved.mid;
  if (!has_feed_forward()) return saved;
  saved.normed2 = take_if(training && !c.shared_norm, stream, shared.normed);
  saved.output = take_if(training, stream, input);
  saved.feed_forward = take_branch(saved.output);
  saved.hidden.up = arena.take(hidden);
  saved.hidden.gate = take_if(c.gated, hidden, nullptr);
  saved.hidden.active = take_if(training, hidden, saved.hidden.up);
  return saved;
}

Block::Gradients Block::take_gradients(std::size_t rows, Arena& arena) const {
  const std::uint64_t stream = std::uint64_t{rows} * config_.embed_dim;
  Gradients gradients;
  gradients.branch = arena.take(stream);
  gradients.norm_input = arena.take(config_.norm_after || config_.norm_after_sum ? stream : 0);
  gradients.of_attention = arena.take(stream);
  gradients.of_feed_forward = config_.parallel ? arena.take(stream) : gradients.of_attention;
  gradients.active = arena.take(std::uint64_t{rows} * config_.feed_forward_dim);
  return gradients;
}

Status Block::create(const TransformerConfig& config, const LayerConfig& layer) {
  config_ = config;
  layer_ = layer;
  const std::size_t E = config.embed_dim, F = config.feed_forward_dim;
  const bool norms = config.norm_before || config.norm_after_sum;
  if (norms && layer.norm1) HEADWISE_RETURN_IF_ERROR(norm1_.create(config.norm, E));
  if (config.norm_after) HEADWISE_RETURN_IF_ERROR(norm1_after_.create(config.norm, E));
  if (F == 0) return Status::kOk;
  if (norms && !config.shared_norm) HEADWISE_RETURN_IF_ERROR(norm2_.create(config.norm, E));
  if (config.norm_after) HEADWISE_RETURN_IF_ERROR(norm2_after_.create(config.norm, E));
  return feed_forward.create(E, F, config.activation, config.gated, config.feed_forward_bias, config.weight_format);
}

MultiHeadAttentionConfig Block::attention_config() const {
  const TransformerConfig& c = config_;
  const Rotary& rotary = layer_.rotary;
  return {.embed_dim = c.embed_dim,
          .num_heads = c.num_heads,
          .num_kv_heads = c.num_kv_heads,
          .head_dim = c.head_dim,
          .value_head_dim = c.head_dim,
          .key_dim = c.embed_dim,
          .value_dim = c.embed_dim,
          .output_dim = c.embed_dim,
          .qkv_bias = c.qkv_bias,
          .out_bias = c.out_bias,
          .scale = c.scale,
          .softcap = c.softcap,
          .rope_dim = rotary.dim,
          .rope_base = rotary.base,
          .rope_interleaved = rotary.interleaved,
          .rope_frequencies = rotary.frequencies,
          .rope_factor = rotary.factor,
          .alibi = c.positions == Positions::kAlibi,
          .query_key_norm = c.query_key_norm,
          .norm_epsilon = c.norm.epsilon,
          .weight_format = c.weight_format};
}

void Block::copy_parameters(Block& from) {
  norm1_.copy_parameters(from.norm1_);
  norm1_after_.copy_parameters(from.norm1_after_);
  norm2_.copy_parameters(from.norm2_);
  norm2_after_.copy_parameters(from.norm2_after_);
  headwise::copy_parameters(from.feed_forward, feed_forward);
}

}  // namespace headwise
