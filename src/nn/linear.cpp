#include "nn/linear.hpp"

#include <algorithm>

#include "kernels/pack.hpp"

namespace headwise {
namespace {

constexpr std::size_t kPanelsPerTask = 12;  // 72 rows (48 with tiles of 4): 48 to 96 were equally fast
constexpr std::size_t kTilesPerTask = 18;   // 144 columns, a multiple of the tiles that a single row takes at once

std::size_t tasks_of(std::size_t count, std::size_t per_task) { return (count + per_task - 1) / per_task; }

}  // namespace

Status Linear::create(std::size_t inputs, std::size_t outputs, bool bias) {
  inputs_ = inputs;
  outputs_ = outputs;
  has_bias_ = bias;
  release_gradients();
  const std::uint64_t size = packed_size(outputs, inputs);
  HEADWISE_RETURN_IF_ERROR(weight_.reserve(size));
  HEADWISE_RETURN_IF_ERROR(bias_.reserve(bias ? outputs : 0));
  std::fill_n(weight_.data(), static_cast<std::size_t>(size), 0.0f);
  std::fill_n(bias_.data(), bias ? outputs : 0, 0.0f);
  return Status::kOk;
}

void Linear::set_weight(const float* weight) noexcept {
  pack_rows(weight, inputs_, outputs_, inputs_, 1.0f, weight_.data());
}

void Linear::get_weight(float* weight) const noexcept { unpack_rows(weight_.data(), outputs_, inputs_, weight); }

void Linear::forward_outputs(Range outputs, const float* x, std::size_t rows, float* out,
                             Context& context) const noexcept {
  const Range tiles{outputs.begin / simd::kTile, simd::tiles(outputs.end)};
  multiply(x, inputs_, rows, input_slice(0, inputs_), tiles, has_bias_ ? Start::kBias : Start::kZero, out, context);
}

void Linear::forward_inputs(Range inputs, bool add, const float* x, std::size_t rows, float* out,
                            Context& context) const noexcept {
  const Start start = add ? Start::kOutput : has_bias_ ? Start::kBias : Start::kZero;
  multiply(x + inputs.begin, inputs_, rows, input_slice(inputs.begin, inputs.end - inputs.begin),
           {0, simd::tiles(outputs_)}, start, out, context);
}

void Linear::multiply(const float* x, std::size_t x_row, std::size_t rows, const PackedMatrix& matrix, Range tiles,
                      Start start, float* out, Context& context) const noexcept {
  const RowPanels panels(rows, context.tile_rows);
  const std::size_t row_tasks = tasks_of(panels.count, kPanelsPerTask);
  const std::size_t column_tasks = tasks_of(tiles.end - tiles.begin, kTilesPerTask);
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(matrix.depth) *
                       static_cast<double>((tiles.end - tiles.begin) * simd::kTile);
  context.pool.parallel_for(row_tasks * column_tasks, flops, [&](std::size_t task, std::size_t) {
    const std::size_t p = task / column_tasks * kPanelsPerTask;
    const std::size_t t = tiles.begin + task % column_tasks * kTilesPerTask;
    gemm(x, x_row, panels, {p, std::min(p + kPanelsPerTask, panels.count)}, matrix,
         {t, std::min(t + kTilesPerTask, tiles.end)}, start, bias(), out, matrix.columns);
  });
}

}  // namespace headwise
