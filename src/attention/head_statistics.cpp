#include "attention/head_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace headwise {
namespace {

struct Mean {
  double sum = 0;
  std::size_t count = 0;

  void add(double value) noexcept {
    sum += value;
    ++count;
  }
  operator float() const noexcept { return count == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(count)); }
};

// Sums of one head over the rows that were added.
struct Means {
  Mean entropy, distance, confidence, first, previous, next, self, duplicate, induction;
};

// The weight of one query on keys of one kind.
struct Share {
  const float* row;  // [S] probabilities
  const VisibleKeys& keys;
  double weight = 0;
  bool seen = false;

  void take(std::int64_t j) noexcept {
    if (!keys.contains(j)) return;
    weight += row[j];
    seen = true;
  }
  void add_to(Mean& mean) const noexcept {
    if (seen) mean.add(weight);
  }
};

// row: [S] probabilities of a query that sees `keys`, at least one, and has the position `place` among all keys
void add_row(const float* row, std::size_t S, const VisibleKeys& keys, std::int64_t place, Means& means) noexcept {
  double entropy = 0, distance = 0, largest = 0;
  for (std::size_t j = 0; j < S; ++j) {
    const double p = row[j];
    if (p == 0.0) continue;
    entropy -= p * std::log(p);
    distance += p * static_cast<double>(std::abs(place - static_cast<std::int64_t>(j)));
    largest = std::max(largest, p);
  }
  means.distance.add(distance);
  means.confidence.add(largest);
  const std::size_t visible = keys.count();
  if (visible > 1) means.entropy.add(entropy / std::log(static_cast<double>(visible)));
  const auto add_share = [&](std::int64_t j, Mean& mean) {
    Share share{row, keys};
    share.take(j);
    share.add_to(mean);
  };
  add_share(0, means.first);
  add_share(place - 1, means.previous);
  add_share(place + 1, means.next);
  add_share(place, means.self);
}

// tokens: [S]; place: within [0, S)
void add_token_row(const float* row, const VisibleKeys& keys, const std::int32_t* tokens, std::int64_t place,
                   Means& means) noexcept {
  Share duplicate{row, keys}, induction{row, keys};
  for (std::int64_t j = 0; j < place; ++j) {
    if (tokens[j] != tokens[place]) continue;
    duplicate.take(j);
    induction.take(j + 1);
  }
  duplicate.add_to(means.duplicate);
  induction.add_to(means.induction);
}

}  // namespace

Status analyze_heads(const AnalysisArgs& args, Context& context, HeadStatistics* statistics) {
  const std::size_t B = args.B, H = args.H, L = args.L, S = args.S;
  if (B == 0 || L == 0 || S == 0) {  // for any number of the others
    std::fill_n(statistics, H, HeadStatistics{});
    return Status::kOk;
  }
  const std::uint64_t row = Arena::padded(S);
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(context.pool.threads() * row));
  float* rows = context.arena.take(context.pool.threads() * row);
  const double logarithms = static_cast<double>(B) * static_cast<double>(H) * static_cast<double>(L * S);
  context.pool.parallel_for(H, 20 * logarithms, [&](std::size_t h, std::size_t worker) {
    float* scratch = rows + worker * row;
    Means means;
    for (std::size_t b = 0; b < B; ++b) {
      for (std::size_t i = 0; i < L; ++i) {
        const VisibleKeys keys = args.visibility.visible_keys(b, h, i, S, scratch);
        if (keys.count() == 0) continue;
        const float* weights_row_bhi = args.weights + ((b * H + h) * L + i) * S;
        const std::int64_t place = static_cast<std::int64_t>(i) + args.visibility.offset(b);
        add_row(weights_row_bhi, S, keys, place, means);
        if (args.tokens == nullptr || place < 0 || place >= static_cast<std::int64_t>(S)) continue;
        add_token_row(weights_row_bhi, keys, args.tokens + b * args.token_batch, place, means);
      }
    }
    statistics[h] = {means.entropy, means.distance, means.confidence, means.first,    means.previous,
                     means.next,    means.self,     means.duplicate,  means.induction};
  });
  return Status::kOk;
}

}  // namespace headwise
