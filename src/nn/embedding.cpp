#include "nn/embedding.hpp"

#include <algorithm>

#include "attention/rotary.hpp"
#include "nn/initialize.hpp"
#include "nn/scratch.hpp"

namespace headwise {
namespace {

constexpr std::size_t kColumnsPerTask = 32;
constexpr std::size_t kNone = SIZE_MAX;

// Where number e of token v's gradient lies in a packed matrix [V, E]: its next one is simd::kTile behind.
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

void add_row(const float* from, std::size_t count, float* to) noexcept {
  for (std::size_t e = 0; e < count; ++e) to[e] += from[e];
}

}  // namespace

Status Embedding::create(const TransformerConfig& config) {
  const std::size_t E = E_ = config.embed_dim, C = config.context_length;
  scale_ = config.embedding_scale;
  kind_ = config.positions;
  if (config.vocab_size > 0)
    HEADWISE_RETURN_IF_ERROR(tokens_.create(E, config.vocab_size, false, config.weight_format));
  if (kind_ == Positions::kLearned) HEADWISE_RETURN_IF_ERROR(positions_.create(C * E, true, 0.0f));
  HEADWISE_RETURN_IF_ERROR(types_.create(config.token_types * E, true, 0.0f));
  if (config.patch_dim > 0) {
    HEADWISE_RETURN_IF_ERROR(patch_.create(config.patch_dim, E, config.patch_bias, config.weight_format));
  }
  HEADWISE_RETURN_IF_ERROR(class_.create(config.class_token ? E : 0, true, 0.0f));
  HEADWISE_RETURN_IF_ERROR(registers_.create(config.register_tokens * E, true, 0.0f));
  return config.embedding_norm ? norm_.create(config.norm, E) : Status::kOk;
}

Status Embedding::prepare(const Batch& batch, Context& context) {
  if (kind_ != Positions::kSinusoidal) return Status::kOk;
  std::size_t length = 0;
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    const std::size_t position = position_of(batch, row);
    if (position != kNone) length = std::max(length, position + 1);
  }
  if (length <= sinusoid_rows_) return Status::kOk;
  const std::size_t rows = std::max(length, 2 * sinusoid_rows_);  // twice: sequences grow token by token
  sinusoid_rows_ = 0;
  HEADWISE_RETURN_IF_ERROR(sinusoids_.reserve(std::uint64_t{rows} * E_));
  HEADWISE_RETURN_IF_ERROR(fill_sinusoidal(sinusoids_.data(), rows, E_, context));
  sinusoid_rows_ = rows;
  return Status::kOk;
}

void Embedding::initialize(float* scratch, std::mt19937& generator) {
  const auto matrix = [&](Linear& linear) {
    initialize_normal(scratch, linear.inputs() * linear.outputs(), generator);
    linear.set_weight(scratch);
  };
  const auto table = [&](ParameterBuffer& buffer) { initialize_normal(buffer.value(), buffer.count(), generator); };
  matrix(tokens_);
  if (kind_ == Positions::kLearned) table(positions_);
  table(types_);
  matrix(patch_);
  table(class_);
  table(registers_);
}

Embedding::Saved Embedding::take(const Batch& batch, bool training, float* stream, Arena& arena) const {
  Saved saved;
  saved.patches =
      patch_.outputs() == 0 ? nullptr : arena.take(batch.B * (batch.L - special_rows()) * std::uint64_t{E_});
  saved.sum = training && norm_.exists() ? arena.take(std::uint64_t{batch.rows()} * E_) : stream;
  return saved;
}

std::size_t Embedding::position_of(const Batch& batch, std::size_t row) const noexcept {
  if (kind_ != Positions::kLearned && kind_ != Positions::kSinusoidal) return kNone;
  if (batch.positions != nullptr) return static_cast<std::size_t>(batch.positions[row]);
  const std::size_t i = row % batch.L, registers = registers_.count() / E_, first = class_.count() / E_;
  if (i >= first && i < first + registers) return kNone;
  return static_cast<std::size_t>(batch.first) + (i < first ? i : i - registers);
}

void Embedding::forward(const Batch& batch, const Saved& saved, float* stream, Context& context) const noexcept {
  const std::size_t special = special_rows(), patches = batch.L - special, classes = class_.count() / E_;
  const bool reads_tokens = tokens_.outputs() > 0;
  const float* positions = kind_ == Positions::kSinusoidal ? sinusoids_.data() : positions_.value();
  if (!reads_tokens) patch_.forward(batch.patches, batch.B * patches, saved.patches, context);
  context.pool.parallel_for(
      batch.rows(), 4.0 * static_cast<double>(batch.rows() * E_), [&](std::size_t row, std::size_t) {
        float* to = saved.sum + row * E_;
        const std::size_t b = row / batch.L, i = row % batch.L, position = position_of(batch, row);
        if (reads_tokens) {
          tokens_.weight().get_row(static_cast<std::size_t>(batch.tokens[row]), {0, E_}, to);
          for (std::size_t e = 0; e < E_; ++e) to[e] *= scale_;
        } else {
          const float* from = i < classes   ? class_.value()
                              : i < special ? registers_.value() + (i - classes) * E_
                                            : saved.patches + (b * patches + i - special) * E_;
          std::copy_n(from, E_, to);
        }
        if (i >= special && batch.patch_positions != nullptr) {
          add_row(batch.patch_positions + (i - special) * E_, E_, to);
        } else if (position != kNone) {
          add_row(positions + position * E_, E_, to);
        }
        if (types_.count() > 0) {
          const std::size_t type = batch.token_types == nullptr ? 0 : static_cast<std::size_t>(batch.token_types[row]);
          add_row(types_.value() + type * E_, E_, to);
        }
      });
  if (norm_.exists()) norm_.forward(saved.sum, batch.rows(), stream, context.pool);
}

std::uint64_t Embedding::backward_scratch(const Batch& batch, std::size_t threads) const {
  return std::max(norm_.exists() ? norm_.backward_scratch(batch.rows()) : 0,
                  patch_.outputs() > 0 ? patch_.backward_scratch(threads) : 0);
}

// Each task has columns of its own, and goes through all rows in order: sums do not depend on the threads.
void Embedding::backward(const Batch& batch, const Saved& saved, float* gradient, float* sum_gradient,
                         Context& context) noexcept {
  const std::size_t special = special_rows(), patches = batch.L - special, classes = class_.count() / E_;
  const bool reads_tokens = tokens_.outputs() > 0;
  if (norm_.exists()) {
    std::fill_n(sum_gradient, batch.rows() * E_, 0.0f);
    norm_.backward(saved.sum, gradient, batch.rows(), sum_gradient, true,
                   take_scratch(context, norm_.backward_scratch(batch.rows())), context.pool);
    gradient = sum_gradient;
  }
  float* table = reads_tokens ? tokens_.weight_gradient() : nullptr;
  const std::size_t tasks = (E_ + kColumnsPerTask - 1) / kColumnsPerTask;
  context.pool.parallel_for(tasks, 4.0 * static_cast<double>(batch.rows() * E_), [&](std::size_t task, std::size_t) {
    const std::size_t begin = task * kColumnsPerTask, count = std::min(kColumnsPerTask, E_ - begin);
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      const float* from = gradient + row * E_ + begin;
      const std::size_t b = row / batch.L, i = row % batch.L, position = position_of(batch, row);
      if (reads_tokens) {
        float* to = table + packed_at(static_cast<std::size_t>(batch.tokens[row]), E_) + begin * simd::kTile;
        for (std::size_t e = 0; e < count; ++e) to[e * simd::kTile] += scale_ * from[e];
      } else if (i < special) {
        add_row(from, count, (i < classes ? class_.gradient() : registers_.gradient() + (i - classes) * E_) + begin);
      } else {
        std::copy_n(from, count, saved.patches + (b * patches + i - special) * E_ + begin);
      }
      if (kind_ == Positions::kLearned && position != kNone)
        add_row(from, count, positions_.gradient() + position * E_ + begin);
      if (types_.count() > 0) {
        const std::size_t type = batch.token_types == nullptr ? 0 : static_cast<std::size_t>(batch.token_types[row]);
        add_row(from, count, types_.gradient() + type * E_ + begin);
      }
    }
  });
  if (!reads_tokens) {
    patch_.backward(batch.patches, saved.patches, batch.B * patches, nullptr, false, true,
                    take_scratch(context, patch_.backward_scratch(context.pool.threads())), context);
  }
}

}  // namespace headwise
