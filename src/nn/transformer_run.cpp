// The forward and the backward pass of a transformer.
#include <algorithm>

#include "kernels/dropout.hpp"
#include "kernels/vectors.hpp"
#include "nn/transformer.hpp"
#include "nn/transformer_workspace.hpp"

namespace headwise {
namespace {

constexpr std::size_t kElementsPerTask = 4096;  // a multiple of any vector

template <class Fn>
void for_each_chunk(std::size_t count, ThreadPool& pool, const Fn& fn) {
  const std::size_t tasks = (count + kElementsPerTask - 1) / kElementsPerTask;
  pool.parallel_for(tasks, 4.0 * static_cast<double>(count), [&](std::size_t task, std::size_t) {
    const std::size_t first = task * kElementsPerTask;
    fn(task, first, std::min(kElementsPerTask, count - first));
  });
}

// out = a + b; any of them may be the same.
void add(const float* a, const float* b, float* out, std::size_t count, ThreadPool& pool) {
  for_each_chunk(count, pool, [&](std::size_t, std::size_t first, std::size_t some) {
    simd::for_each_vector(some, [&](std::size_t n, auto part) {
      n += first;
      simd::store(out + n, simd::load(a + n, part) + simd::load(b + n, part), part);
    });
  });
}

// x: a piece of an arena, whose last vector is whole.
void drop(const Dropout& dropout, float* x, std::size_t count, ThreadPool& pool) {
  if (dropout.rate == 0.0f) return;
  for_each_chunk(count, pool, [&](std::size_t task, std::size_t first, std::size_t some) {
    DropoutRow(dropout, 0, 0, task).apply(x + first, 0, simd::round_up(some, simd::kLanes), dropout.scale());
  });
}

// The gradient through dropout: `gradient` itself without dropout, else a copy.
const float* dropped(const Dropout& dropout, const float* gradient, float* copy, std::size_t count, ThreadPool& pool) {
  if (dropout.rate == 0.0f) return gradient;
  std::copy_n(gradient, count, copy);
  drop(dropout, copy, count, pool);
  return copy;
}

// Where a layer has dropout.
enum Place : std::size_t { kWeights, kAttention, kFeedForward, kPlaces };

}  // namespace

Dropout Transformer::dropout(std::size_t place) const {
  return {config_.dropout, config_.seed + 0x632be5ab * steps_ + 0x85157af5 * static_cast<std::uint32_t>(place)};
}

// Pieces that a call does not need have no floats.
Transformer::Workspace Transformer::take_workspace(std::size_t rows, bool training, bool logits, Arena& arena) {
  const std::uint64_t stream = std::uint64_t{rows} * config_.embed_dim, F = config_.feed_forward_dim;
  const std::uint64_t hidden = rows * F;
  const bool gated = config_.activation == Activation::kSiluGated;
  for (std::size_t n = 0; n < config_.layers; ++n) {
    Saved& saved = saved_[n];
    if (n > 0 && !training) {  // all layers share one set; the residual stream is changed in place
      saved = saved_[0];
      continue;
    }
    saved.input = arena.take(stream);
    saved.mid = training && F > 0 ? arena.take(stream) : saved.input;
    saved.normed = arena.take(F > 0 ? stream : 0);
    saved.hidden.up = arena.take(hidden);
    saved.hidden.gate = arena.take(gated ? hidden : 0);
    saved.hidden.active = training ? arena.take(hidden) : saved.hidden.up;
  }
  saved_[config_.layers].input = training ? arena.take(stream) : saved_[0].input;
  for (std::size_t n = 0; training && F == 0 && n < config_.layers; ++n) saved_[n].mid = saved_[n + 1].input;
  Workspace workspace;
  workspace.normed = arena.take(stream);
  workspace.branch = arena.take(stream);
  workspace.logits = arena.take(logits ? std::uint64_t{rows} * config_.vocab_size : 0);
  workspace.gradient = arena.take(training ? stream : 0);
  workspace.dropped = arena.take(training ? stream : 0);
  workspace.branch_gradient = arena.take(training ? stream : 0);
  workspace.active = arena.take(training ? hidden : 0);
  return workspace;
}

// Makes room for the whole call at its start: once gradients are added to, nothing can fail.
Status Transformer::reserve(const TokenBatch& batch, bool training, bool logits, Workspace& workspace,
                            Context& context) {
  const std::size_t rows = batch.B * batch.L, threads = context.pool.threads();
  Arena counted;
  take_workspace(rows, training, logits, counted);
  HEADWISE_RETURN_IF_ERROR(activations_.reserve(counted.used()));
  workspace = take_workspace(rows, training, logits, activations_);
  std::uint64_t scratch = logits ? cross_entropy_scratch(rows, config_.vocab_size, threads) : 0;
  if (training) {
    ForwardArgs sizes{};
    sizes.B = batch.B;
    sizes.L = sizes.S = batch.L;
    scratch = std::max({scratch, norm_.backward_scratch(rows), head().backward_scratch(threads)});
    for (std::size_t n = 0; n < config_.layers; ++n) {
      Layer& layer = layers_[n];
      scratch = std::max(
          {scratch, layer.feed_forward.backward_scratch(threads), layer.attention.backward_scratch(sizes, threads)});
    }
  }
  return context.arena.reserve(scratch);
}

Status Transformer::run(const TokenBatch& batch, bool training, Sequence* sequence, const Capture* captures,
                        const Workspace& workspace, Context& context) {
  ThreadPool& pool = context.pool;
  const std::size_t rows = batch.B * batch.L, count = rows * config_.embed_dim;
  const std::int32_t past = sequence == nullptr ? 0 : sequence->length;
  const std::int32_t length = past + static_cast<std::int32_t>(batch.L);
  HEADWISE_RETURN_IF_ERROR(embedding_.prepare(static_cast<std::size_t>(length), context));
  embedding_.forward(batch.tokens, batch.B, batch.L, static_cast<std::size_t>(past), saved_[0].input, pool);
  for (std::size_t n = 0; n < config_.layers; ++n) {
    Layer& layer = layers_[n];
    const Saved& saved = saved_[n];
    layer.norm1.forward(saved.input, rows, workspace.normed, pool);
    ForwardArgs args{.B = batch.B,
                     .L = batch.L,
                     .S = static_cast<std::size_t>(length),
                     .query = workspace.normed,
                     .visibility = {},
                     .output = workspace.branch,
                     .dropout = {}};
    args.visibility.causal = config_.causal;
    if (sequence != nullptr) {
      args.cache = &sequence->caches[n];
      args.visibility.offsets = &past;
      args.visibility.key_lengths = &length;
    }
    if (captures != nullptr) {
      args.weights = captures[n].weights;
      args.stage = captures[n].stage;
      args.heads = captures[n].heads;
      args.head_output = captures[n].head_output;
    }
    if (training) {
      args.tape = &layer.tape;
      args.dropout = dropout(n * kPlaces + kWeights);
    }
    HEADWISE_RETURN_IF_ERROR(layer.attention.forward(args, context));
    if (training) drop(dropout(n * kPlaces + kAttention), workspace.branch, count, pool);
    add(saved.input, workspace.branch, saved.mid, count, pool);
    if (config_.feed_forward_dim == 0) continue;
    layer.norm2.forward(saved.mid, rows, saved.normed, pool);
    layer.feed_forward.forward(saved.normed, rows, saved.hidden, workspace.branch, context);
    if (training) drop(dropout(n * kPlaces + kFeedForward), workspace.branch, count, pool);
    add(saved.mid, workspace.branch, saved_[n + 1].input, count, pool);
  }
  norm_.forward(saved_[config_.layers].input, rows, workspace.normed, pool);
  return Status::kOk;
}

Status Transformer::run_back(const TokenBatch& batch, const Workspace& workspace, Context& context) {
  ThreadPool& pool = context.pool;
  const std::size_t rows = batch.B * batch.L, count = rows * config_.embed_dim, threads = pool.threads();
  const auto scratch = [&](std::uint64_t floats) {  // there is room: see reserve
    return context.arena.reserve(floats) == Status::kOk ? context.arena.take(0) : nullptr;
  };
  float* gradient = workspace.gradient;  // of the residual stream, from the last layer to the first
  const auto through_norm = [&](Norm& norm, const float* x, const float* grad_out) {
    norm.backward(x, grad_out, rows, gradient, scratch(norm.backward_scratch(rows)), pool);
  };
  head().backward(workspace.normed, workspace.logits, rows, workspace.branch_gradient, false,
                  scratch(head().backward_scratch(threads)), context);
  std::fill_n(gradient, count, 0.0f);
  through_norm(norm_, saved_[config_.layers].input, workspace.branch_gradient);
  for (std::size_t n = config_.layers; n-- > 0;) {
    Layer& layer = layers_[n];
    const Saved& saved = saved_[n];
    if (config_.feed_forward_dim > 0) {
      const float* out = dropped(dropout(n * kPlaces + kFeedForward), gradient, workspace.dropped, count, pool);
      layer.feed_forward.backward(saved.normed, saved.hidden, out, rows, workspace.branch_gradient, workspace.active,
                                  scratch(layer.feed_forward.backward_scratch(threads)), context);
      through_norm(layer.norm2, saved.mid, workspace.branch_gradient);
    }
    const float* out = dropped(dropout(n * kPlaces + kAttention), gradient, workspace.dropped, count, pool);
    HEADWISE_RETURN_IF_ERROR(layer.attention.backward(
        layer.tape, {.output = out, .query = workspace.branch_gradient, .sum = true}, context));
    through_norm(layer.norm1, saved.input, workspace.branch_gradient);
  }
  embedding_.backward(batch.tokens, batch.B, batch.L, gradient, pool);
  return Status::kOk;
}

Status Transformer::measure(const TokenBatch& batch, bool training, Workspace& workspace, Loss& loss,
                            Context& context) {
  const std::size_t rows = batch.B * batch.L, V = config_.vocab_size;
  HEADWISE_RETURN_IF_ERROR(reserve(batch, training, true, workspace, context));
  HEADWISE_RETURN_IF_ERROR(run(batch, training, nullptr, nullptr, workspace, context));
  head().forward(workspace.normed, rows, workspace.logits, context);
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(cross_entropy_scratch(rows, V, context.pool.threads())));
  loss = cross_entropy(workspace.logits, batch.targets, rows, V, training, context);
  return Status::kOk;
}

Status Transformer::forward(const TokenBatch& batch, const Capture* captures, float* logits, Context& context) {
  Workspace workspace;
  HEADWISE_RETURN_IF_ERROR(reserve(batch, false, false, workspace, context));
  HEADWISE_RETURN_IF_ERROR(run(batch, false, nullptr, captures, workspace, context));
  head().forward(workspace.normed, batch.B * batch.L, logits, context);
  return Status::kOk;
}

Status Transformer::evaluate(const TokenBatch& batch, Loss& loss, Context& context) {
  Workspace workspace;
  return measure(batch, false, workspace, loss, context);
}

Status Transformer::accumulate(const TokenBatch& batch, bool fresh, Loss& loss, Context& context) {
  Workspace workspace;
  HEADWISE_RETURN_IF_ERROR(enable_gradients());
  HEADWISE_RETURN_IF_ERROR(measure(batch, true, workspace, loss, context));
  if (fresh) zero_gradients();
  if (loss.count > 0) HEADWISE_RETURN_IF_ERROR(run_back(batch, workspace, context));
  ++steps_;
  return Status::kOk;
}

Status Transformer::decode(Sequence& sequence, const std::int32_t* tokens, std::size_t count, float* logits,
                           Context& context) {
  Workspace workspace;
  const TokenBatch batch{1, count, tokens};
  HEADWISE_RETURN_IF_ERROR(make_room(sequence, static_cast<std::size_t>(sequence.length) + count));
  HEADWISE_RETURN_IF_ERROR(reserve(batch, false, false, workspace, context));
  HEADWISE_RETURN_IF_ERROR(run(batch, false, &sequence, nullptr, workspace, context));
  head().forward(workspace.normed + (count - 1) * config_.embed_dim, 1, logits, context);
  sequence.length += static_cast<std::int32_t>(count);
  return Status::kOk;
}

}  // namespace headwise
