#include "nn/linear.hpp"

#include <algorithm>

#include "core/arena.hpp"
#include "kernels/quantize.hpp"
#include "nn/share_tiles.hpp"

namespace headwise {
namespace {

constexpr std::size_t kQuantizedFloats = 128 * 1024;  // half of a second-level cache

}  // namespace

Status Linear::create(std::size_t inputs, std::size_t outputs, bool bias, WeightFormat format) {
  has_bias_ = bias;
  release_gradients();
  HEADWISE_RETURN_IF_ERROR(weight_.create(outputs, inputs, format));
  HEADWISE_RETURN_IF_ERROR(bias_.reserve(bias ? outputs : 0));
  std::fill_n(bias_.data(), bias ? outputs : 0, 0.0f);
  return Status::kOk;
}

Status Linear::make_room(WeightFormat format, Context& context) {
  return format == WeightFormat::kInt8 ? context.quantized.reserve(kQuantizedFloats) : Status::kOk;
}

void Linear::keep(const Linear& from, const Kept& kept_outputs, const Kept& kept_inputs) noexcept {
  for (std::size_t n = 0; has_bias_ && n < outputs(); ++n) bias_.data()[n] = from.bias_.data()[kept_outputs[n]];
  weight_.keep(from.weight_, kept_outputs, kept_inputs);
}

void Linear::forward_outputs(Range outputs, const float* x, std::size_t rows, float* out,
                             Context& context) const noexcept {
  const Range tiles{outputs.begin / simd::kTile, simd::tiles(outputs.end)};
  multiply({0, inputs()}, tiles, Start::kBias, x, rows, out, context);
}

void Linear::forward_inputs(Range inputs, Start start, const float* x, std::size_t rows, float* out,
                            Context& context) const noexcept {
  multiply(inputs, {0, simd::tiles(outputs())}, start, x, rows, out, context);
}

void Linear::multiply(Range inputs, Range tiles, Start start, const float* x, std::size_t rows, float* out,
                      Context& context) const noexcept {
  if (start == Start::kBias && !has_bias_) start = Start::kZero;
  if (weight_.format() == WeightFormat::kInt8) return multiply_int8(inputs, tiles, start, x, rows, out, context);
  const RowPanels panels(rows, context.tile_rows);
  share_tiles(panels, tiles, inputs.end - inputs.begin, context.pool, [&](Range p, Range t) {
    const auto multiply_by = [&](const auto& matrix) {
      gemm(x + inputs.begin, this->inputs(), panels, p, matrix, t, start, bias(), out, outputs());
    };
    if (weight_.format() == WeightFormat::kBf16) return multiply_by(weight_.slice<simd::Bf16>(inputs));
    multiply_by(weight_.slice<float>(inputs));
  });
}

// Rows of x become integers, as many as the room is for, and then tiles multiply them.
void Linear::multiply_int8(Range inputs, Range tiles, Start start, const float* x, std::size_t rows, float* out,
                           Context& context) const noexcept {
  const PackedInt8 matrix = weight_.int8_slice(inputs);
  const std::size_t odd = inputs.begin % 2, count = inputs.end - inputs.begin, depth = 2 * matrix.pairs;
  const std::size_t row = simd::round_up(depth, 8), room = kQuantizedFloats / (row / 2 + 1);
  float* scales = context.quantized.data();
  auto* integers = reinterpret_cast<std::int16_t*>(scales + room);
  for (std::size_t first = 0; first < rows; first += room) {
    const std::size_t block = std::min(rows - first, room);
    const RowPanels panels(block, std::min(context.tile_rows, kInt8TileRows));
    // To quantize an element takes as long as about 12 flops of a product.
    context.pool.parallel_for(panels.count, 12.0 * static_cast<double>(block * depth), [&](std::size_t p, std::size_t) {
      for (std::size_t i = panels.first_row(p); i < panels.first_row(p + 1); ++i) {
        const float* x_i = x + (first + i) * this->inputs() + inputs.begin;
        std::int16_t* to = integers + i * row;
        const Quantizer quantizer = quantizer_of(largest_magnitude(x_i, count), max_activation(depth));
        scales[i] = quantizer.scale;
        if (depth > 0) to[0] = to[depth - 1] = 0;  // of inputs outside of the range, perhaps
        quantize(x_i, count, quantizer, to + odd);
      }
    });
    share_tiles(panels, tiles, depth, context.pool, [&](Range p, Range t) {
      gemm_int8({integers, row, scales}, panels, p, matrix, t, start, bias(), out + first * outputs(), outputs());
    });
  }
}

}  // namespace headwise
