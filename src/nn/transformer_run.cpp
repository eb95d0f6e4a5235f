// A batch through a transformer, and its gradients back.
#include <algorithm>

#include "nn/scratch.hpp"
#include "nn/transformer.hpp"

namespace headwise {

// What a pass computes on, beside what each layer keeps.
struct Transformer::Workspace {
  Embedding::Saved embedding;
  Block::Shared shared;
  LanguageHead::Saved head;
  Pooler::Saved pooler;
  float* stream;  // [T, E], after the last layer
  float* hidden;  // [T, E], behind the last norm
  float* rows;    // [B, E], the rows whose logits are wanted, where these are not all; then their gradient
  float* logits;  // [T, V], then their gradient

  Block::Gradients gradients;
  float* gradient;         // [T, E], of the residual stream, from its end to its beginning
  float* hidden_gradient;  // [T, E]
};

Transformer::Workspace Transformer::take_workspace(const Batch& batch, Purpose purpose, Arena& arena) {
  const bool keep = training(purpose), with_loss = purpose != Purpose::kOutputs;
  const std::size_t rows = batch.rows(), of_head = head_rows(batch, purpose);
  const std::uint64_t stream = std::uint64_t{rows} * config_.embed_dim;
  Workspace workspace;
  workspace.stream = arena.take(stream);
  workspace.embedding = embedding_.take(batch, keep, workspace.stream, arena);
  workspace.shared.normed = arena.take(stream);
  workspace.shared.branch = arena.take(stream);
  workspace.shared.scales = arena.take(rows);
  for (std::size_t n = 0; n < config_.layers; ++n) {
    saved_[n] = keep || n == 0 ? blocks_[n].take(rows, keep, workspace.stream, workspace.shared, arena) : saved_[0];
    workspace.stream = saved_[n].output;
  }
  workspace.hidden = norm_.exists() ? workspace.shared.normed : workspace.stream;
  workspace.head = head_.take(of_head, keep, arena);
  workspace.pooler = pooler_.take(batch, keep, arena);
  workspace.rows = arena.take(std::uint64_t{batch.B} * config_.embed_dim);
  workspace.logits = arena.take(with_loss && config_.head ? std::uint64_t{of_head} * config_.vocab_size : 0);
  if (!keep) return workspace;
  workspace.gradients = blocks_[0].take_gradients(rows, arena);
  workspace.gradient = arena.take(stream);
  workspace.hidden_gradient = arena.take(stream);
  return workspace;
}

Status Transformer::reserve(const Batch& batch, Purpose purpose, Workspace& workspace, Context& context) {
  const std::size_t threads = context.pool.threads(), rows = batch.rows(), of_head = head_rows(batch, purpose);
  Arena counted;
  take_workspace(batch, purpose, counted);
  HEADWISE_RETURN_IF_ERROR(activations_.reserve(counted.used()));
  workspace = take_workspace(batch, purpose, activations_);
  std::uint64_t scratch = 0;
  if (purpose != Purpose::kOutputs) {
    scratch = cross_entropy_scratch(of_head, std::max(config_.vocab_size, config_.classes), threads);
  }
  if (training(purpose)) {
    scratch = std::max({scratch, norm_.backward_scratch(rows), pooler_.backward_scratch(batch, threads),
                        head_.backward_scratch(of_head, embedding_.tokens(), threads),
                        embedding_.backward_scratch(batch, threads)});
    for (std::size_t n = 0; n < config_.layers; ++n) {
      scratch = std::max(scratch, blocks_[n].backward_scratch(batch, threads));
    }
  }
  HEADWISE_RETURN_IF_ERROR(Linear::make_room(config_.weight_format, context));
  return context.arena.reserve(scratch);
}

Block::Args Transformer::block_args(const Batch& batch, Purpose purpose, std::size_t layer) const {
  Block::Args args{.batch = batch, .training = training(purpose)};
  if (purpose == Purpose::kGradients) {
    args.dropout = {config_.dropout,
                    config_.seed + 0x632be5ab * steps_ + 3 * 0x85157af5 * static_cast<std::uint32_t>(layer)};
  }
  return args;
}

Status Transformer::run(const Batch& batch, Purpose purpose, Sequence* sequence, const Capture* captures,
                        const Workspace& workspace, Context& context) {
  HEADWISE_RETURN_IF_ERROR(embedding_.prepare(batch, context));
  embedding_.forward(batch, workspace.embedding, saved_[0].input, context);
  for (std::size_t n = 0; n < config_.layers; ++n) {
    Block::Args args = block_args(batch, purpose, n);
    if (sequence != nullptr) args.cache = &sequence->caches[n];
    if (captures != nullptr) args.capture = &captures[n];
    HEADWISE_RETURN_IF_ERROR(blocks_[n].forward(args, saved_[n], context));
  }
  if (norm_.exists()) norm_.forward(workspace.stream, batch.rows(), workspace.hidden, context.pool);
  return Status::kOk;
}

Status Transformer::measure(const Batch& batch, Purpose purpose, Workspace& workspace, Loss& loss, Context& context) {
  const bool classes = config_.classes > 0;
  const std::size_t rows = classes ? batch.B : batch.rows(), V = classes ? config_.classes : config_.vocab_size;
  HEADWISE_RETURN_IF_ERROR(reserve(batch, purpose, workspace, context));
  HEADWISE_RETURN_IF_ERROR(run(batch, purpose, nullptr, nullptr, workspace, context));
  if (classes) {
    pooler_.forward(batch, workspace.hidden, workspace.pooler, context);
  } else {
    head_.forward(workspace.hidden, rows, embedding_.tokens(), workspace.head, workspace.logits, context);
  }
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(cross_entropy_scratch(rows, V, context.pool.threads())));
  loss = cross_entropy(classes ? workspace.pooler.classes : workspace.logits, batch.targets, rows, V, training(purpose),
                       context);
  return Status::kOk;
}

// Where the gradient of the last hidden states is.
float* Transformer::hidden_gradient(const Workspace& workspace) const noexcept {
  return norm_.exists() ? workspace.hidden_gradient : workspace.gradient;
}

Status Transformer::run_back(const Batch& batch, Purpose purpose, const Probe* probes, const Workspace& workspace,
                             Context& context) {
  const std::size_t rows = batch.rows(), count = rows * config_.embed_dim;
  const bool learn = purpose == Purpose::kGradients;
  float* of_hidden = hidden_gradient(workspace);
  if (config_.classes > 0) {
    std::fill_n(of_hidden, count, 0.0f);
    pooler_.backward(batch, workspace.pooler, learn, of_hidden, context);
  } else {
    head_.backward(workspace.hidden, rows, embedding_.tokens(), workspace.head, learn, workspace.logits, of_hidden,
                   context);
  }
  return run_stream_back(batch, purpose, probes, workspace, context);
}

Status Transformer::run_stream_back(const Batch& batch, Purpose purpose, const Probe* probes,
                                    const Workspace& workspace, Context& context) {
  const std::size_t rows = batch.rows();
  const bool learn = purpose == Purpose::kGradients;
  float* gradient = workspace.gradient;
  if (norm_.exists()) {
    std::fill_n(gradient, rows * config_.embed_dim, 0.0f);
    norm_.backward(workspace.stream, workspace.hidden_gradient, rows, gradient, learn,
                   take_scratch(context, norm_.backward_scratch(rows)), context.pool);
  }
  for (std::size_t n = config_.layers; n-- > 0;) {
    Block::Args args = block_args(batch, purpose, n);
    if (probes != nullptr) args.gradients = &probes[n];
    HEADWISE_RETURN_IF_ERROR(blocks_[n].backward(args, saved_[n], workspace.gradients, learn, gradient, context));
  }
  if (learn) embedding_.backward(batch, workspace.embedding, gradient, workspace.hidden_gradient, context);
  return Status::kOk;
}

// Copies one row of each sequence.
void Transformer::gather_rows(const Workspace& workspace, const Batch& batch, const std::int32_t* rows) const noexcept {
  const std::size_t E = config_.embed_dim;
  for (std::size_t b = 0; b < batch.B; ++b) {
    const std::size_t row = b * batch.L + static_cast<std::size_t>(rows[b]);
    std::copy_n(workspace.hidden + row * E, E, workspace.rows + b * E);
  }
}

Status Transformer::forward(const Batch& batch, const Outputs& outputs, Context& context) {
  Workspace workspace;
  const std::size_t rows = batch.rows(), E = config_.embed_dim;
  HEADWISE_RETURN_IF_ERROR(reserve(batch, Purpose::kOutputs, workspace, context));
  HEADWISE_RETURN_IF_ERROR(run(batch, Purpose::kOutputs, outputs.sequence, outputs.captures, workspace, context));
  if (outputs.logits != nullptr && outputs.logit_rows == nullptr) {
    head_.forward(workspace.hidden, rows, embedding_.tokens(), workspace.head, outputs.logits, context);
  } else if (outputs.logits != nullptr) {
    gather_rows(workspace, batch, outputs.logit_rows);
    head_.forward(workspace.rows, batch.B, embedding_.tokens(), workspace.head, outputs.logits, context);
  }
  if (outputs.norm_scale != nullptr) norm_.measure(workspace.stream, rows, outputs.norm_scale);
  if (outputs.hidden != nullptr) std::copy_n(workspace.hidden, rows * E, outputs.hidden);
  if (!pooler_.exists()) return Status::kOk;
  pooler_.forward(batch, workspace.hidden, workspace.pooler, context);
  if (outputs.pooled != nullptr) std::copy_n(workspace.pooler.pooled, batch.B * E, outputs.pooled);
  if (outputs.classes != nullptr) std::copy_n(workspace.pooler.classes, batch.B * config_.classes, outputs.classes);
  return Status::kOk;
}

Status Transformer::evaluate(const Batch& batch, Loss& loss, Context& context) {
  Workspace workspace;
  return measure(batch, Purpose::kLoss, workspace, loss, context);
}

Status Transformer::accumulate(const Batch& batch, bool fresh, Loss& loss, Context& context) {
  Workspace workspace;
  HEADWISE_RETURN_IF_ERROR(enable_gradients());
  HEADWISE_RETURN_IF_ERROR(measure(batch, Purpose::kGradients, workspace, loss, context));
  if (fresh) zero_gradients();
  if (loss.count > 0) HEADWISE_RETURN_IF_ERROR(run_back(batch, Purpose::kGradients, nullptr, workspace, context));
  ++steps_;
  return Status::kOk;
}

Status Transformer::accumulate_gates(const Batch& batch, bool fresh, Loss& loss, Context& context) {
  Workspace workspace;
  HEADWISE_RETURN_IF_ERROR(enable_gate_gradients());
  HEADWISE_RETURN_IF_ERROR(measure(batch, Purpose::kGateGradients, workspace, loss, context));
  for (std::size_t n = 0; fresh && n < config_.layers; ++n) blocks_[n].attention.zero_gate_gradients();
  return loss.count == 0 ? Status::kOk : run_back(batch, Purpose::kGateGradients, nullptr, workspace, context);
}

Status Transformer::differentiate(const Batch& batch, const LogitMetric& metric, const Probe* probes, double& value,
                                  Context& context) {
  Workspace workspace;
  const std::size_t E = config_.embed_dim;
  HEADWISE_RETURN_IF_ERROR(enable_gate_gradients());
  HEADWISE_RETURN_IF_ERROR(reserve(batch, Purpose::kDifference, workspace, context));
  HEADWISE_RETURN_IF_ERROR(run(batch, Purpose::kDifference, nullptr, nullptr, workspace, context));
  gather_rows(workspace, batch, metric.rows);
  head_.forward(workspace.rows, batch.B, embedding_.tokens(), workspace.head, workspace.logits, context);
  double sum = 0.0;
  for (std::size_t b = 0; b < batch.B; ++b) {
    const float* logits = workspace.logits + b * config_.vocab_size;
    sum += logits[metric.answer[b]];
    if (metric.against != nullptr) sum -= logits[metric.against[b]];
  }
  value = sum / static_cast<double>(batch.B);
  head_.backward_difference(workspace.rows, batch.B, embedding_.tokens(), workspace.head, metric.answer, metric.against,
                            1.0f / static_cast<float>(batch.B), workspace.rows, context);
  float* of_hidden = hidden_gradient(workspace);
  std::fill_n(of_hidden, batch.rows() * E, 0.0f);
  for (std::size_t b = 0; b < batch.B; ++b) {
    const std::size_t row = b * batch.L + static_cast<std::size_t>(metric.rows[b]);
    std::copy_n(workspace.rows + b * E, E, of_hidden + row * E);
  }
  return run_stream_back(batch, Purpose::kDifference, probes, workspace, context);
}

Status Transformer::decode(Sequence& sequence, const std::int32_t* tokens, std::size_t count, float* logits,
                           const Capture* captures, Context& context) {
  const auto last = static_cast<std::int32_t>(count) - 1;
  Batch batch{1, count};
  batch.tokens = tokens;
  batch.first = sequence.length;
  HEADWISE_RETURN_IF_ERROR(make_room(sequence, static_cast<std::size_t>(sequence.length) + count));
  Outputs outputs;
  outputs.logits = logits;
  outputs.logit_rows = &last;
  outputs.sequence = &sequence;
  outputs.captures = captures;
  HEADWISE_RETURN_IF_ERROR(forward(batch, outputs, context));
  sequence.length += static_cast<std::int32_t>(count);
  return Status::kOk;
}

}  // namespace headwise
