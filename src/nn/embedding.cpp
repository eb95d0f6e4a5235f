#include "nn/embedding.hpp"

#include <algorithm>
#include <cmath>

#include "attention/rotary.hpp"

namespace headwise {
namespace {

constexpr std::size_t kColumnsPerTask = 32;

// Where number e of token v lies in a packed matrix [V, E]: the next number is simd::kTile further on.
std::size_t packed_at(std::size_t v, std::size_t E) { return v / simd::kTile * simd::kTile * E + v % simd::kTile; }

// positions: [length, E]
Status fill_sinusoidal(float* positions, std::size_t length, std::size_t E, Context& context) {
  const std::size_t pairs = (E + 1) / 2;
  const Rotary rotary{.dim = E};
  Arena counted;
  take_rotary_table(rotary, length, counted);
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(counted.used()));
  const RotaryTable table = take_rotary_table(rotary, length, context.arena);
  fill_rotary_table(rotary, {1, length}, Rotation::kForward, table, context.pool);
  for (std::size_t i = 0; i < length; ++i) {
    for (std::size_t e = 0; e < E; ++e) positions[i * E + e] = (e % 2 == 0 ? table.sin : table.cos)[i * pairs + e / 2];
  }
  return Status::kOk;
}

}  // namespace

Status Embedding::create(std::size_t vocab_size, std::size_t context_length, std::size_t E, Positions positions) {
  kind_ = positions;
  E_ = E;
  if (positions == Positions::kSinusoidal) scale_ = std::sqrt(static_cast<float>(E));
  HEADWISE_RETURN_IF_ERROR(tokens_.create(E, vocab_size, false));
  return positions == Positions::kLearned ? positions_.create(context_length * E, true, 0.0f) : Status::kOk;
}

Status Embedding::prepare(std::size_t length, Context& context) {
  if (kind_ != Positions::kSinusoidal || length <= sinusoid_rows_) return Status::kOk;
  const std::size_t rows = std::max(length, 2 * sinusoid_rows_);  // twice: sequences grow token by token
  sinusoid_rows_ = 0;
  HEADWISE_RETURN_IF_ERROR(sinusoids_.reserve(std::uint64_t{rows} * E_));
  HEADWISE_RETURN_IF_ERROR(fill_sinusoidal(sinusoids_.data(), rows, E_, context));
  sinusoid_rows_ = rows;
  return Status::kOk;
}

void Embedding::forward(const std::int32_t* tokens, std::size_t B, std::size_t L, std::size_t first, float* out,
                        ThreadPool& pool) const noexcept {
  const float* table = tokens_.input_slice(0, E_).data;
  const float* positions = kind_ == Positions::kSinusoidal ? sinusoids_.data() : positions_.value();
  pool.parallel_for(B * L, 4.0 * static_cast<double>(B * L * E_), [&](std::size_t row, std::size_t) {
    const float* from = table + packed_at(static_cast<std::size_t>(tokens[row]), E_);
    const float* position = positions == nullptr ? nullptr : positions + (first + row % L) * E_;
    float* to = out + row * E_;
    for (std::size_t e = 0; e < E_; ++e) to[e] = scale_ * from[e * simd::kTile];
    if (position == nullptr) return;
    for (std::size_t e = 0; e < E_; ++e) to[e] += position[e];
  });
}

// Each task has columns of its own, and goes through all tokens in order: sums do not depend on the threads.
void Embedding::backward(const std::int32_t* tokens, std::size_t B, std::size_t L, const float* grad_out,
                         ThreadPool& pool) noexcept {
  float* table = tokens_.weight_gradient();
  const std::size_t tasks = (E_ + kColumnsPerTask - 1) / kColumnsPerTask;
  pool.parallel_for(tasks, 4.0 * static_cast<double>(B * L * E_), [&](std::size_t task, std::size_t) {
    const std::size_t begin = task * kColumnsPerTask, end = std::min(begin + kColumnsPerTask, E_);
    for (std::size_t row = 0; row < B * L; ++row) {
      const float* from = grad_out + row * E_;
      float* to = table + packed_at(static_cast<std::size_t>(tokens[row]), E_);
      for (std::size_t e = begin; e < end; ++e) to[e * simd::kTile] += scale_ * from[e];
      if (kind_ != Positions::kLearned) continue;
      float* position = positions_.gradient() + row % L * E_;
      for (std::size_t e = begin; e < end; ++e) position[e] += from[e];
    }
  });
}

}  // namespace headwise
