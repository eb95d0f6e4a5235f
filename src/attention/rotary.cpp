#include "attention/rotary.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace headwise {
namespace {

// Turns the pairs (first[k], second[k]) for k < count; `step` numbers lie between one pair and the next.
void turn(const float* first, const float* second, std::size_t step, const float* cos, const float* sin,
          std::size_t count, float* to_first, float* to_second) noexcept {
  for (std::size_t k = 0; k < count; ++k) {
    const float x = first[k * step], y = second[k * step];
    to_first[k * step] = cos[k] * x - sin[k] * y;
    to_second[k * step] = sin[k] * x + cos[k] * y;
  }
}

}  // namespace

void fill_rotary_table(const Rotary& rotary, const std::int32_t* positions, std::size_t count, float* cos, float* sin,
                       ThreadPool& pool) noexcept {
  const std::size_t pairs = rotary.dim / 2;
  // base^(-2 / dim) in base 2. With std::pow, whose tables are incompressible, each binary is 3 KB larger, gzipped.
  const double step =
      -2.0 / static_cast<double>(rotary.dim) * (std::log(static_cast<double>(rotary.base)) / std::numbers::ln2);
  const double nanoseconds = 40.0 * static_cast<double>(count * pairs);
  pool.parallel_for(count, 50 * nanoseconds, [&](std::size_t n, std::size_t) {
    for (std::size_t k = 0; k < pairs; ++k) {
      const double frequency = std::exp2(static_cast<double>(k) * step);
      const double angle = positions[n] * frequency;
      cos[n * pairs + k] = static_cast<float>(std::cos(angle));
      sin[n * pairs + k] = static_cast<float>(std::sin(angle));
    }
  });
}

void rotate(const Rotary& rotary, const RotaryArgs& args, ThreadPool& pool) noexcept {
  const std::size_t pairs = rotary.dim / 2;
  const double flops = 6.0 * static_cast<double>(args.B * args.H) * static_cast<double>(args.L * args.D);
  pool.parallel_for(args.B * args.L, flops, [&](std::size_t task, std::size_t) {
    const std::size_t b = task / args.L, i = task % args.L;
    const std::size_t row = args.rows == nullptr ? b * args.row_batch + i : static_cast<std::size_t>(args.rows[task]);
    const float* cos = args.table.cos + row * pairs;
    const float* sin = args.table.sin + row * pairs;
    for (std::size_t h = 0; h < args.H; ++h) {
      const float* from = args.from.at(b, h, i);
      float* to = args.to.at(b, h, i);
      const std::size_t apart = rotary.interleaved ? 1 : pairs;
      turn(from, from + apart, rotary.interleaved ? 2 : 1, cos, sin, pairs, to, to + apart);
      if (from != to) std::copy(from + rotary.dim, from + args.D, to + rotary.dim);
    }
  });
}

}  // namespace headwise
