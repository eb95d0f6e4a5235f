#include "attention/head_statistics.hpp"

#include <cmath>
#include <cstdlib>

namespace headwise {
namespace {

struct RowStatistics {
  double entropy = 0, distance = 0;
};

// row: [S] probabilities of the query that stands at `position` among the keys
RowStatistics analyze_row(const float* row, std::size_t S, std::int64_t position) noexcept {
  RowStatistics sum;
  for (std::size_t j = 0; j < S; ++j) {
    const double p = row[j];
    if (p == 0.0) continue;
    sum.entropy -= p * std::log(p);
    sum.distance += p * static_cast<double>(std::abs(position - static_cast<std::int64_t>(j)));
  }
  return sum;
}

}  // namespace

std::uint64_t analysis_scratch(std::size_t S, std::size_t threads) { return threads * Arena::padded(S); }

void analyze_heads(const float* weights, std::size_t B, std::size_t H, std::size_t L, std::size_t S,
                   const Visibility& visibility, Context& context, HeadStatistics* statistics) noexcept {
  float* all_scratch = context.arena.take(static_cast<std::size_t>(analysis_scratch(S, context.pool.threads())));
  const double logarithms = static_cast<double>(B) * static_cast<double>(H) * static_cast<double>(L * S);
  context.pool.parallel_for(H, 20 * logarithms, [&](std::size_t h, std::size_t worker) {
    float* scratch = all_scratch + worker * Arena::padded(S);
    double entropy = 0, distance = 0;
    std::size_t choosing = 0, seeing = 0;  // queries that see at least two keys, at least one
    for (std::size_t b = 0; b < B; ++b) {
      for (std::size_t i = 0; i < L; ++i) {
        const std::size_t visible = visibility.visible_keys(b, h, i, S, scratch);
        if (visible == 0) continue;
        const float* weights_row_bhi = weights + ((b * H + h) * L + i) * S;
        const RowStatistics row = analyze_row(weights_row_bhi, S, static_cast<std::int64_t>(i) + visibility.offset(b));
        distance += row.distance;
        ++seeing;
        if (visible == 1) continue;
        entropy += row.entropy / std::log(static_cast<double>(visible));
        ++choosing;
      }
    }
    statistics[h].entropy = choosing == 0 ? 0.0f : static_cast<float>(entropy / static_cast<double>(choosing));
    statistics[h].distance = seeing == 0 ? 0.0f : static_cast<float>(distance / static_cast<double>(seeing));
  });
}

}  // namespace headwise
