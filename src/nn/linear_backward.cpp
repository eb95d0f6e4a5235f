// The gradients of a linear layer. One task sums each element, in the order of the rows, so the results are the same
// bits on any number of threads.
#include <algorithm>

#include "core/arena.hpp"
#include "kernels/pack.hpp"
#include "kernels/rows.hpp"
#include "nn/linear.hpp"
#include "nn/share_tiles.hpp"

namespace headwise {
namespace {

// A task's part of the weight's gradient, and the rows that it takes at once. It copies them, and the copies stay in a
// second-level cache. The rows of x themselves may all fall into a few sets of the cache.
constexpr std::size_t kInputsPerTask = 12 * kTileRows;
constexpr std::size_t kTilesPerTask = 16;
constexpr std::size_t kRowsPerBlock = 128;
constexpr std::size_t kCopyRow = 80;  // 5 cache lines
static_assert(kInputsPerTask <= kCopyRow);

constexpr std::size_t kCopySize = kRowsPerBlock * kCopyRow;
constexpr std::size_t kPackedSize = kTilesPerTask * simd::kTile * kRowsPerBlock;

std::size_t tasks_of(std::size_t count, std::size_t per_task) { return (count + per_task - 1) / per_task; }

// sums[n] += the sum of column n of a packed panel [rows][8], for n < columns
void add_column_sums(const float* panel, std::size_t rows, std::size_t columns, float* sums) noexcept {
  Tile<1> tile;
  tile.fill(0.0f);
  constexpr float kOne = 1.0f;
  for (std::size_t r = 0; r < rows; ++r) tile.multiply_add(&kOne, 0, panel + r * simd::kTile, 1);
  TileView to(sums, simd::kTile, 1, columns);
  to.fetch();
  tile.add(to.data, to.stride);
  tile.store(to.data, to.stride);
  to.put_back();
}

}  // namespace

Status Linear::enable_gradients() {
  if (weight_.format() != WeightFormat::kF32) return Status::kNotF32;
  if (weight_gradient_.data() != nullptr) return Status::kOk;
  HEADWISE_RETURN_IF_ERROR(weight_gradient_.reserve(std::max<std::size_t>(weight_.size(), 1)));
  if (const Status status = bias_gradient_.reserve(has_bias_ ? outputs() : 0); status != Status::kOk) {
    release_gradients();
    return status;
  }
  zero_gradients();
  return Status::kOk;
}

void Linear::release_gradients() noexcept {
  weight_gradient_.release();
  bias_gradient_.release();
}

void Linear::zero_gradients() noexcept {
  for_each_parameter([](const Parameter& parameter) {
    if (parameter.gradient != nullptr) std::fill_n(parameter.gradient, parameter.count, 0.0f);
  });
}

std::uint64_t Linear::backward_scratch(std::size_t threads) const {
  return std::max<std::uint64_t>(threads * (kCopySize + kPackedSize), packed_size(inputs(), outputs()));
}

void Linear::backward(const float* x, const float* grad_out, std::size_t rows, float* grad_x, bool add, bool learn,
                      float* scratch, Context& context) noexcept {
  if (learn) add_weight_gradient(x, grad_out, rows, scratch, context);
  if (grad_x != nullptr) input_gradient(grad_out, rows, grad_x, add, scratch, context);
}

// The packed gradient's panel t is x^T times columns [8 t, 8 t + 8) of grad_out.   "rk,rn->kn"
void Linear::add_weight_gradient(const float* x, const float* grad_out, std::size_t rows, float* scratch,
                                 Context& context) noexcept {
  const std::size_t all_inputs = inputs(), all_outputs = outputs();
  const std::size_t input_tasks = std::max<std::size_t>(tasks_of(all_inputs, kInputsPerTask), 1);  // the bias needs one
  const std::size_t column_tasks = tasks_of(simd::tiles(all_outputs), kTilesPerTask);
  const double flops =
      2.0 * static_cast<double>(rows) * static_cast<double>(all_inputs) * static_cast<double>(all_outputs);
  context.pool.parallel_for(input_tasks * column_tasks, flops, [&](std::size_t task, std::size_t worker) {
    float* copy = scratch + worker * (kCopySize + kPackedSize);  // [kRowsPerBlock, kCopyRow]
    float* packed = copy + kCopySize;                            // [kTilesPerTask][kRowsPerBlock][8]
    const std::size_t k = task / column_tasks * kInputsPerTask, n = task % column_tasks * kTilesPerTask * simd::kTile;
    const std::size_t inputs = std::min(kInputsPerTask, all_inputs - k);
    const std::size_t outputs = std::min(kTilesPerTask * simd::kTile, all_outputs - n);
    float* gradient = weight_gradient_.data() + n * all_inputs + k * simd::kTile;
    for (std::size_t r = 0; r < rows; r += kRowsPerBlock) {
      const std::size_t block = std::min(kRowsPerBlock, rows - r);
      pack_columns(grad_out + r * all_outputs + n, all_outputs, block, outputs, packed);
      const bool finite = copy_rows(x + r * all_inputs + k, all_inputs, block, inputs, copy, kCopyRow);
      for (std::size_t i = 0; !finite && i < block; ++i) {
        if (all_zeros(grad_out + (r + i) * all_outputs, all_outputs)) std::fill_n(copy + i * kCopyRow, inputs, 0.0f);
      }
      const std::size_t padded = simd::round_up(outputs, simd::kTile), panel = block * simd::kTile;
      gemm_transposed(copy, kCopyRow, RowPanels(inputs, context.tile_rows), {packed, padded, block, panel}, gradient,
                      all_inputs * simd::kTile, simd::kTile);
      if (!has_bias_ || k > 0) continue;
      for (std::size_t m = 0; m < outputs; m += simd::kTile) {
        add_column_sums(packed + m * block, block, std::min(simd::kTile, outputs - m), bias_gradient_.data() + n + m);
      }
    }
  });
}

// grad_x = grad_out W: the weight is packed again along its other axis, in squares of 8 x 8.   "rn,nk->rk"
void Linear::input_gradient(const float* grad_out, std::size_t rows, float* grad_x, bool add, float* scratch,
                            Context& context) const noexcept {
  const std::size_t panel = outputs() * simd::kTile;
  const Range tiles{0, simd::tiles(inputs())};
  context.pool.parallel_for(tiles.end, 4.0 * static_cast<double>(weight_.size()), [&](std::size_t t, std::size_t) {
    weight_.pack_inputs(t * simd::kTile, scratch + t * panel);
  });
  const PackedMatrix matrix{scratch, inputs(), outputs(), panel};
  const RowPanels panels(rows, context.tile_rows);
  share_tiles(panels, tiles, outputs(), context.pool, [&](Range p, Range t) {
    gemm(grad_out, outputs(), panels, p, matrix, t, add ? Start::kOutput : Start::kZero, nullptr, grad_x, inputs());
  });
}

}  // namespace headwise
