#include "nn/cross_entropy.hpp"

#include <algorithm>
#include <bit>

#include "kernels/softmax.hpp"

namespace headwise {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr std::size_t kRowsPerTask = 16;

// log x for normal x >= 1, in double, because std::log would add its table to the binary. x = m 2^e with m in
// [sqrt(1/2), sqrt(2)], and log m = 2 (s + s^3 / 3 + s^5 / 5 + …) with s = (m - 1) / (m + 1), |s| < 0.172: the omitted
// terms are below 1e-15.
double logarithm(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<int>(bits >> 52) - 1023;
  auto m = std::bit_cast<double>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) m /= 2, ++exponent;
  const double s = (m - 1) / (m + 1), square = s * s;
  double sum = 0;
  for (int n = 19; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
  return 2 * s * sum + exponent * 0.69314718055994531;
}

struct Row {
  double loss;
  bool correct;
};

// The loss of one row; `powers` becomes e^(logit - largest), padded with zeros.   powers: [V up to a multiple of
// 8]
Row measure(const float* logits, std::size_t V, std::size_t target, float* powers, double& sum) {
  const std::size_t columns = simd::round_up(V, simd::kTile);
  std::copy_n(logits, V, powers);
  std::fill(powers + V, powers + columns, kNegativeInfinity);
  const float largest = row_maximum(powers, columns);
  subtract_and_multiply_row(powers, columns, largest, kLog2E);  // subtract first, so that large logits do not overflow
  sum = row_exp2(powers, columns, 0.0f, simd::Exp2());
  const auto first = static_cast<std::size_t>(std::find(logits, logits + V, largest) - logits);
  return {logarithm(sum) + (static_cast<double>(largest) - logits[target]), first == target};
}

std::size_t row_floats(std::size_t V) {
  return static_cast<std::size_t>(Arena::padded(simd::round_up(V, simd::kTile)));
}

struct Scratch {
  Row* rows;      // [rows]
  float* powers;  // [threads, row_floats(V)]
};

Scratch take_scratch(std::size_t rows, std::size_t V, std::size_t threads, Arena& arena) {
  auto* of_rows = reinterpret_cast<Row*>(arena.take(std::uint64_t{rows} * (sizeof(Row) / sizeof(float))));
  return {of_rows, arena.take(std::uint64_t{threads} * row_floats(V))};
}

}  // namespace

std::uint64_t cross_entropy_scratch(std::size_t rows, std::size_t V, std::size_t threads) {
  Arena counted;
  take_scratch(rows, V, threads, counted);
  return counted.used();
}

Loss cross_entropy(float* logits, const std::int32_t* targets, std::size_t rows, std::size_t V, bool gradient,
                   Context& context) noexcept {
  const Scratch scratch = take_scratch(rows, V, context.pool.threads(), context.arena);
  Row* row = scratch.rows;  // not by a structured binding, which lambdas cannot capture in Clang before 16
  float* powers = scratch.powers;
  Loss loss;
  loss.count = rows - static_cast<std::size_t>(std::count(targets, targets + rows, kIgnored));
  const std::size_t tasks = (rows + kRowsPerTask - 1) / kRowsPerTask;
  context.pool.parallel_for(tasks, 12.0 * static_cast<double>(rows * V), [&](std::size_t task, std::size_t worker) {
    float* powers_i = powers + worker * row_floats(V);
    for (std::size_t i = task * kRowsPerTask; i < std::min((task + 1) * kRowsPerTask, rows); ++i) {
      float* logits_i = logits + i * V;
      row[i] = {0.0, false};
      if (targets[i] != kIgnored) {
        double sum;
        const auto target = static_cast<std::size_t>(targets[i]);
        row[i] = measure(logits_i, V, target, powers_i, sum);
        if (!gradient) continue;
        const auto factor = static_cast<float>(1.0 / (sum * static_cast<double>(loss.count)));
        for (std::size_t v = 0; v < V; ++v) logits_i[v] = powers_i[v] * factor;
        logits_i[target] -= static_cast<float>(1.0 / static_cast<double>(loss.count));
      } else if (gradient) {
        std::fill_n(logits_i, V, 0.0f);
      }
    }
  });
  for (std::size_t i = 0; i < rows; ++i) {  // in order, on any number of threads
    loss.mean += row[i].loss;
    loss.correct += row[i].correct;
  }
  if (loss.count > 0) loss.mean /= static_cast<double>(loss.count);
  return loss;
}

}  // namespace headwise
