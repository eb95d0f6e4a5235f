#include "attention/rotary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace headwise {
namespace {

// Rotates the pairs (first[k], second[k]) for k < count; consecutive pairs are `step` numbers apart.
void rotate_pairs(const float* first, const float* second, std::size_t step, const float* cos, const float* sin,
                  std::size_t count, float* to_first, float* to_second) noexcept {
  for (std::size_t k = 0; k < count; ++k) {
    const float x = first[k * step], y = second[k * step];
    to_first[k * step] = cos[k] * x - sin[k] * y;
    to_second[k * step] = sin[k] * x + cos[k] * y;
  }
}

// x such that x^n = y, for y > 0, by bisection.
double root(double y, std::size_t n) noexcept {
  double low = std::min(1.0, y), high = std::max(1.0, y);
  for (int step = 0; step < 100; ++step) {
    const double x = 0.5 * (low + high);
    double power = 1.0, factor = x;
    for (std::size_t rest = n; rest > 0; rest /= 2, factor *= factor) {
      if (rest % 2 == 1) power *= factor;
    }
    (power < y ? low : high) = x;
  }
  return low;
}

// Cosine and sine of angles up to 2^32 to the precision of a float. Multiples of pi / 2 are subtracted exactly: pi / 2
// is split into three parts, and the first two have so few digits that their multiples are exact.
void cos_sin(double angle, float& cos, float& sin) noexcept {
  constexpr double kHalfPi[] = {0x1.921fbp0, 0x1.5110bp-22, 0x1.18469898cc517p-44};
  const double quarters = std::nearbyint(angle * 0.63661977236758134);
  const double x = ((angle - quarters * kHalfPi[0]) - quarters * kHalfPi[1]) - quarters * kHalfPi[2];
  const double z = x * x;
  const double c = 1 - z / 2 * (1 - z / 12 * (1 - z / 30 * (1 - z / 56 * (1 - z / 90))));
  const double s = x * (1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110)))));
  const auto quadrant = static_cast<std::int64_t>(quarters) & 3;
  cos = static_cast<float>(quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s);
  sin = static_cast<float>(quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c);
}

}  // namespace

RotaryTable take_rotary_table(const Rotary& rotary, std::uint64_t rows, Arena& arena) {
  const std::size_t pairs = (rotary.dim + 1) / 2;
  return {arena.take(rows * pairs), arena.take(rows * pairs)};
}

// Does not use the standard library's pow, cos and sin, whose tables would add 8 KB to each binary's download.
void fill_rotary_table(const Rotary& rotary, const TokenPositions& positions, Rotation rotation,
                       const RotaryTable& table, ThreadPool& pool) noexcept {
  const std::size_t pairs = (rotary.dim + 1) / 2, rows = positions.table_rows();
  const double base = rotary.base, ratio = root(1.0 / (base * base), std::max<std::size_t>(rotary.dim, 1));
  const double direction = rotation == Rotation::kForward ? 1.0 : -1.0;
  pool.parallel_for(rows, 40.0 * static_cast<double>(rows * pairs), [&](std::size_t n, std::size_t) {
    double angle = direction * static_cast<double>(positions.at(n));
    const double position = angle;
    for (std::size_t k = 0; k < pairs; ++k, angle *= ratio) {
      float &cos = table.cos[n * pairs + k], &sin = table.sin[n * pairs + k];
      cos_sin(rotary.frequencies == nullptr ? angle : position * rotary.frequencies[k], cos, sin);
      cos *= rotary.factor;
      sin *= rotary.factor;
    }
  });
}

void rotate(const Rotary& rotary, const RotaryArgs& args, const float* cos, const float* sin,
            ThreadPool& pool) noexcept {
  const std::size_t pairs = rotary.dim / 2;
  const double flops = 6.0 * static_cast<double>(args.B * args.H) * static_cast<double>(args.L * args.D);
  pool.parallel_for(args.B * args.L, flops, [&](std::size_t task, std::size_t) {
    const std::size_t b = task / args.L, i = task % args.L;
    const std::size_t row = args.rows == nullptr ? b * args.row_batch + i : static_cast<std::size_t>(args.rows[task]);
    for (std::size_t h = 0; h < args.H; ++h) {
      const float* from = args.from.at(b, h, i);
      float* to = args.to.at(b, h, i);
      const std::size_t apart = rotary.interleaved ? 1 : pairs;
      rotate_pairs(from, from + apart, rotary.interleaved ? 2 : 1, cos + row * pairs, sin + row * pairs, pairs, to,
                   to + apart);
      if (from != to) std::copy(from + rotary.dim, from + args.D, to + rotary.dim);
    }
  });
}

void rotate_to_positions(const Rotary& rotary, RotaryArgs args, const TokenPositions& positions, Rotation rotation,
                         const RotaryTable& table, ThreadPool& pool) noexcept {
  fill_rotary_table(rotary, positions, rotation, table, pool);
  args.row_batch = positions.same_in_all_rows() ? 0 : args.L;
  rotate(rotary, args, table.cos, table.sin, pool);
}

Status rotate_to_positions(const Rotary& rotary, const RotaryArgs& args, const TokenPositions& positions,
                           Context& context) {
  Arena counted;
  take_rotary_table(rotary, positions.table_rows(), counted);
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(counted.used()));
  const RotaryTable table = take_rotary_table(rotary, positions.table_rows(), context.arena);
  rotate_to_positions(rotary, args, positions, Rotation::kForward, table, context.pool);
  return Status::kOk;
}

}  // namespace headwise
