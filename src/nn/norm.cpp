#include "nn/norm.hpp"

#include <algorithm>

#include "core/arena.hpp"

namespace headwise {
namespace {

constexpr std::size_t kRowsPerTask = 32;
constexpr double kFlops = 12.0;  // of an element, about

std::size_t tasks_of(std::size_t rows) { return (rows + kRowsPerTask - 1) / kRowsPerTask; }

}  // namespace

Status Norm::create(const NormConfig& config, std::size_t E) {
  config_ = config;
  E_ = E;
  HEADWISE_RETURN_IF_ERROR(weight_.create(E, false, 1.0f));
  return bias_.create(config.bias ? E : 0, false, 0.0f);
}

void Norm::copy_parameters(const Norm& from) noexcept {
  std::copy_n(from.weight_.value(), from.weight_.count(), weight_.value());
  std::copy_n(from.bias_.value(), from.bias_.count(), bias_.value());
}

// One copy for all its callers: a call takes no measurable time beside a row.
[[gnu::noinline]] RowNorm Norm::row_norm_of(const float* row) const noexcept {
  return row_norm(row, E_, centred(), config_.epsilon);
}

void Norm::measure(const float* x, std::size_t rows, float* scales) const noexcept {
  for (std::size_t i = 0; i < rows; ++i) scales[i] = row_norm_of(x + i * E_).scale;
}

void Norm::forward(const float* x, std::size_t rows, float* out, ThreadPool& pool, const float* scales) const noexcept {
  const float* bias = config_.bias ? bias_.value() : nullptr;
  pool.parallel_for(tasks_of(rows), kFlops * static_cast<double>(rows * E_), [&](std::size_t task, std::size_t) {
    for (std::size_t i = task * kRowsPerTask; i < std::min((task + 1) * kRowsPerTask, rows); ++i) {
      const float* row_i = x + i * E_;
      RowNorm norm = row_norm_of(row_i);
      if (scales != nullptr) norm.scale = scales[i];
      norm_row(row_i, E_, norm, weight_.value(), bias, out + i * E_);
    }
  });
}

std::uint64_t Norm::backward_scratch(std::size_t rows) const {
  return std::uint64_t{tasks_of(rows)} * 2 * Arena::padded(E_);
}

// Each task sums its rows' parts of the parameters' gradients; these sums are added in order, so that the result does
// not depend on the number of threads.
void Norm::backward(const float* x, const float* grad_out, std::size_t rows, float* grad_x, bool learn, float* scratch,
                    ThreadPool& pool) noexcept {
  const std::size_t sums = 2 * static_cast<std::size_t>(Arena::padded(E_)), tasks = tasks_of(rows);
  pool.parallel_for(tasks, 2 * kFlops * static_cast<double>(rows * E_), [&](std::size_t task, std::size_t) {
    float* weight = scratch + task * sums;
    float* bias = config_.bias ? weight + sums / 2 : nullptr;
    std::fill_n(weight, sums, 0.0f);
    for (std::size_t i = task * kRowsPerTask; i < std::min((task + 1) * kRowsPerTask, rows); ++i) {
      const float* row_i = x + i * E_;
      norm_row_backward(row_i, E_, row_norm_of(row_i), centred(), weight_.value(), grad_out + i * E_, grad_x + i * E_,
                        weight, bias);
    }
  });
  for (std::size_t task = 0; learn && task < tasks; ++task) {
    const float* weight = scratch + task * sums;
    for (std::size_t n = 0; n < E_; ++n) weight_.gradient()[n] += weight[n];
    if (!config_.bias) continue;
    for (std::size_t n = 0; n < E_; ++n) bias_.gradient()[n] += weight[sums / 2 + n];
  }
}

}  // namespace headwise
