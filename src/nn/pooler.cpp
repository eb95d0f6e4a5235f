#include "nn/pooler.hpp"

#include <algorithm>
#include <utility>

#include "nn/activate.hpp"
#include "nn/scratch.hpp"

namespace headwise {
namespace {

// The pooled row of batch row b among all rows.
std::size_t pooled_row(const Batch& batch, std::size_t b) {
  return b * batch.L + (batch.pooled_rows == nullptr ? 0 : static_cast<std::size_t>(batch.pooled_rows[b]));
}

}  // namespace

Status Pooler::create(const TransformerConfig& config) {
  kind_ = config.pooling;
  activation_ = config.pooler_activation;
  const std::size_t E = E_ = config.embed_dim;
  if (has_dense()) {
    HEADWISE_RETURN_IF_ERROR(dense_.create(E, E, config.readout_bias, config.weight_format));
  }
  if (kind_ == Pooling::kNorm || kind_ == Pooling::kDenseNorm) {
    HEADWISE_RETURN_IF_ERROR(norm_.create(config.norm, E));
  }
  if (config.classes == 0) return Status::kOk;
  return classifier_.create(E, config.classes, config.class_bias, config.weight_format);
}

Pooler::Saved Pooler::take(const Batch& batch, bool training, Arena& arena) const {
  const std::uint64_t count = exists() ? std::uint64_t{batch.B} * E_ : 0;
  Saved saved;
  saved.row = arena.take(count);
  saved.pooled = kind_ == Pooling::kRow ? saved.row : arena.take(count);
  saved.dense = has_dense() ? arena.take(count) : saved.row;
  saved.active = kind_ == Pooling::kDenseNorm ? arena.take(count) : has_dense() ? saved.pooled : saved.row;
  saved.classes = arena.take(std::uint64_t{batch.B} * classes());
  saved.gradient = training ? arena.take(count) : nullptr;
  return saved;
}

void Pooler::forward(const Batch& batch, const float* hidden, const Saved& saved, Context& context) const noexcept {
  const std::size_t B = batch.B;
  for (std::size_t b = 0; b < B; ++b) std::copy_n(hidden + pooled_row(batch, b) * E_, E_, saved.row + b * E_);
  if (has_dense()) {
    dense_.forward(saved.row, B, saved.dense, context);
    activate(activation_, saved.dense, nullptr, B * E_, saved.active, context.pool);
  }
  if (norm_.exists()) norm_.forward(saved.active, B, saved.pooled, context.pool);
  if (classes() > 0) classifier_.forward(saved.pooled, B, saved.classes, context);
}

std::uint64_t Pooler::backward_scratch(const Batch& batch, std::size_t threads) const {
  return std::max(
      {classifier_.backward_scratch(threads), dense_.backward_scratch(threads), norm_.backward_scratch(batch.B)});
}

void Pooler::backward(const Batch& batch, const Saved& saved, bool learn, float* grad_hidden,
                      Context& context) noexcept {
  const std::size_t B = batch.B, threads = context.pool.threads();
  float *of_row = saved.gradient, *free = saved.pooled;  // only the classifier still reads what is pooled
  classifier_.backward(saved.pooled, saved.classes, B, of_row, false, learn,
                       take_scratch(context, classifier_.backward_scratch(threads)), context);
  if (norm_.exists()) {
    std::fill_n(free, B * E_, 0.0f);
    norm_.backward(saved.active, of_row, B, free, learn, take_scratch(context, norm_.backward_scratch(B)),
                   context.pool);
    std::swap(of_row, free);
  }
  if (has_dense()) {
    activate_backward(activation_, saved.dense, nullptr, of_row, B * E_, context.pool);
    dense_.backward(saved.row, saved.dense, B, free, false, learn,
                    take_scratch(context, dense_.backward_scratch(threads)), context);
    of_row = free;
  }
  for (std::size_t b = 0; b < B; ++b) {
    float* to = grad_hidden + pooled_row(batch, b) * E_;
    for (std::size_t e = 0; e < E_; ++e) to[e] += of_row[b * E_ + e];
  }
}

}  // namespace headwise
