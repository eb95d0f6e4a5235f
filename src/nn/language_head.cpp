#include "nn/language_head.hpp"

#include <algorithm>

#include "kernels/vectors.hpp"
#include "nn/activate.hpp"
#include "nn/scratch.hpp"

namespace headwise {
namespace {

constexpr std::size_t kColumnsPerTask = 1024;

// Adds the bias to logits, [rows, V], and caps them; slopes: null, or [rows, V] of the cap.
void finish(const float* bias, float cap, std::size_t rows, std::size_t V, float* logits, float* slopes,
            ThreadPool& pool) noexcept {
  const simd::Vec one = simd::splat(1.0f), inverse = simd::splat(cap > 0.0f ? 1.0f / cap : 0.0f);
  pool.parallel_for(rows, 20.0 * static_cast<double>(rows * V), [&](std::size_t row, std::size_t) {
    simd::for_each_vector(V, [&](std::size_t n, auto part) {
      const std::size_t at = row * V + n;
      simd::Vec value = simd::load(logits + at, part);
      if (bias != nullptr) value = value + simd::load(bias + n, part);
      if (cap > 0.0f) value = simd::softcap(value, cap);
      simd::store(logits + at, value, part);
      if (slopes != nullptr) simd::store(slopes + at, one - value * value * inverse * inverse, part);
    });
  });
}

void multiply(float* x, const float* by, std::size_t rows, std::size_t V, ThreadPool& pool) noexcept {
  pool.parallel_for(rows, 4.0 * static_cast<double>(rows * V), [&](std::size_t row, std::size_t) {
    for (std::size_t n = row * V; n < (row + 1) * V; ++n) x[n] *= by[n];
  });
}

// sums[v] += the sum of column v of `x`, [rows, V]: each task has columns of its own.
void add_column_sums(const float* x, std::size_t rows, std::size_t V, float* sums, ThreadPool& pool) noexcept {
  const std::size_t tasks = (V + kColumnsPerTask - 1) / kColumnsPerTask;
  pool.parallel_for(tasks, 2.0 * static_cast<double>(rows * V), [&](std::size_t task, std::size_t) {
    const std::size_t begin = task * kColumnsPerTask, end = std::min(begin + kColumnsPerTask, V);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t v = begin; v < end; ++v) sums[v] += x[row * V + v];
    }
  });
}

}  // namespace

Status LanguageHead::create(const TransformerConfig& config) {
  const std::size_t E = E_ = config.embed_dim, V = V_ = config.vocab_size;
  tied_ = config.tie_embeddings;
  softcap_ = config.logit_softcap;
  activation_ = config.activation;
  if (!config.head) return Status::kOk;
  if (config.head_transform) {
    HEADWISE_RETURN_IF_ERROR(dense_.create(E, E, config.readout_bias, config.weight_format));
    HEADWISE_RETURN_IF_ERROR(norm_.create(config.norm, E));
  }
  if (!tied_) HEADWISE_RETURN_IF_ERROR(matrix_.create(E, V, false, config.weight_format));
  return bias_.create(config.head_bias ? V : 0, false, 0.0f);
}

LanguageHead::Saved LanguageHead::take(std::size_t rows, bool training, Arena& arena) const {
  const std::uint64_t count = has_transform() ? std::uint64_t{rows} * E_ : 0;
  Saved saved;
  saved.dense = arena.take(count);
  saved.active = training ? arena.take(count) : saved.dense;
  saved.normed = training ? arena.take(count) : saved.dense;
  saved.slopes = training && softcap_ > 0.0f ? arena.take(std::uint64_t{rows} * V_) : nullptr;
  saved.gradient = training ? arena.take(count) : nullptr;
  return saved;
}

void LanguageHead::forward(const float* x, std::size_t rows, const Linear& tokens, const Saved& saved, float* logits,
                           Context& context) const noexcept {
  if (has_transform()) {
    dense_.forward(x, rows, saved.dense, context);
    activate(activation_, saved.dense, nullptr, rows * E_, saved.active, context.pool);
    norm_.forward(saved.active, rows, saved.normed, context.pool);
    x = saved.normed;
  }
  matrix(tokens).forward(x, rows, logits, context);
  const float* bias = bias_.count() == 0 ? nullptr : bias_.value();
  if (bias != nullptr || softcap_ > 0.0f) finish(bias, softcap_, rows, V_, logits, saved.slopes, context.pool);
}

std::uint64_t LanguageHead::backward_scratch(std::size_t rows, const Linear& tokens, std::size_t threads) const {
  return std::max(
      {matrix(tokens).backward_scratch(threads), dense_.backward_scratch(threads), norm_.backward_scratch(rows)});
}

void LanguageHead::backward(const float* x, std::size_t rows, Linear& tokens, const Saved& saved, bool learn,
                            float* gradient, float* grad_x, Context& context) noexcept {
  ThreadPool& pool = context.pool;
  const std::size_t threads = pool.threads();
  Linear& matrix = tied_ ? tokens : matrix_;
  if (saved.slopes != nullptr) multiply(gradient, saved.slopes, rows, V_, pool);
  if (learn && bias_.count() > 0) add_column_sums(gradient, rows, V_, bias_.gradient(), pool);
  const bool transformed = has_transform();
  matrix.backward(transformed ? saved.normed : x, gradient, rows, transformed ? saved.gradient : grad_x, false, learn,
                  take_scratch(context, matrix.backward_scratch(threads)), context);
  if (transformed) backward_transform(x, rows, saved, learn, grad_x, context);
}

void LanguageHead::backward_difference(const float* x, std::size_t rows, const Linear& tokens, const Saved& saved,
                                       const std::int32_t* answer, const std::int32_t* against, float share,
                                       float* grad_x, Context& context) noexcept {
  float* gradient = has_transform() ? saved.gradient : grad_x;
  float* weights = take_scratch(context, E_);
  std::fill_n(gradient, rows * E_, 0.0f);
  for (std::size_t n = 0; n < 2 * rows; ++n) {
    const std::size_t row = n / 2;
    const std::int32_t* tokens_of = n % 2 == 0 ? answer : against;
    if (tokens_of == nullptr) continue;
    const auto token = static_cast<std::size_t>(tokens_of[row]);
    float factor = n % 2 == 0 ? share : -share;
    if (saved.slopes != nullptr) factor *= saved.slopes[row * V_ + token];
    matrix(tokens).weight().get_row(token, {0, E_}, weights);
    for (std::size_t e = 0; e < E_; ++e) gradient[row * E_ + e] += factor * weights[e];
  }
  if (has_transform()) backward_transform(x, rows, saved, false, grad_x, context);
}

void LanguageHead::backward_transform(const float* x, std::size_t rows, const Saved& saved, bool learn, float* grad_x,
                                      Context& context) noexcept {
  ThreadPool& pool = context.pool;
  float* of_active = saved.normed;  // nobody reads it any more
  std::fill_n(of_active, rows * E_, 0.0f);
  norm_.backward(saved.active, saved.gradient, rows, of_active, learn,
                 take_scratch(context, norm_.backward_scratch(rows)), pool);
  activate_backward(activation_, saved.dense, nullptr, of_active, rows * E_, pool);
  dense_.backward(x, saved.dense, rows, grad_x, false, learn,
                  take_scratch(context, dense_.backward_scratch(pool.threads())), context);
}

}  // namespace headwise
