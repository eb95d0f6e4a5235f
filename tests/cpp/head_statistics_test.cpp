#include "attention/head_statistics.hpp"

#include <functional>

#include "support.hpp"

namespace headwise::test {
namespace {

std::vector<HeadStatistics> analyze(const AnalysisArgs& args, Context& context) {
  std::vector<HeadStatistics> statistics(args.H);
  REQUIRE(analyze_heads(args, context, statistics.data()) == Status::kOk);
  check_room(context.arena);
  return statistics;
}

std::vector<HeadStatistics> analyze(const AnalysisArgs& args) {
  Context context;
  REQUIRE(context.pool.start(1) == Status::kOk);
  return analyze(args, context);
}

std::vector<HeadStatistics> analyze(const Floats& weights, std::size_t B, std::size_t H, std::size_t L, std::size_t S,
                                    const Visibility& visibility) {
  return analyze({.B = B, .H = H, .L = L, .S = S, .weights = weights.data(), .visibility = visibility});
}

// The definitions of docs/heads.md once more: each a predicate on (b, i, j), summed up key by key in double.
struct Naive {
  const AnalysisArgs& args;
  const Visibility& visibility = args.visibility;
  std::function<bool(std::size_t b, std::size_t h, std::size_t i, std::size_t j)> visible;

  double weight(std::size_t b, std::size_t h, std::size_t i, std::size_t j) const {
    return args.weights[((b * args.H + h) * args.L + i) * args.S + j];
  }
  int token(std::size_t b, int j) const { return args.tokens[b * args.token_batch + static_cast<std::size_t>(j)]; }

  // Of head h: the mean of what `of` says of the visible keys' weights, over the queries for which it says something.
  double mean(std::size_t h, const std::function<double(std::size_t b, std::size_t i, const std::vector<int>&)>& of) {
    double sum = 0, count = 0;
    for (std::size_t b = 0; b < args.B; ++b) {
      for (std::size_t i = 0; i < args.L; ++i) {
        std::vector<int> keys;
        for (std::size_t j = 0; j < args.S; ++j) {
          if (visible(b, h, i, j)) keys.push_back(static_cast<int>(j));
        }
        const double value = of(b, i, keys);
        if (std::isnan(value)) continue;
        sum += value;
        ++count;
      }
    }
    return count == 0 ? 0 : sum / count;
  }
  double share(std::size_t h, const std::function<bool(std::size_t b, int place, int j)>& is_meant) {
    return mean(h, [&](std::size_t b, std::size_t i, const std::vector<int>& keys) {
      double sum = std::nan("");
      for (const int j : keys) {
        if (!is_meant(b, static_cast<int>(i + visibility.offset(b)), j)) continue;
        sum = (std::isnan(sum) ? 0 : sum) + weight(b, h, i, static_cast<std::size_t>(j));
      }
      return sum;
    });
  }
};

void check_against_naive(const AnalysisArgs& args, Context& threads,
                         const std::function<bool(std::size_t, std::size_t, std::size_t, std::size_t)>& visible) {
  const auto statistics = analyze(args), shared = analyze(args, threads);
  Naive naive{.args = args, .visible = visible};
  for (std::size_t h = 0; h < args.H; ++h) {
    const auto close = [](float ours, double exact) {
      CHECK(ours == doctest::Approx(exact).epsilon(1e-5));
      CHECK(ours >= 0.0f);
    };
    const HeadStatistics& ours = statistics[h];
    CHECK(std::memcmp(&ours, &shared[h], sizeof ours) == 0);
    using Keys = const std::vector<int>&;
    close(ours.entropy, naive.mean(h, [&](std::size_t b, std::size_t i, Keys keys) {
      double sum = 0;
      for (const int j : keys) {
        const double p = naive.weight(b, h, i, static_cast<std::size_t>(j));
        if (p > 0) sum -= p * std::log(p);
      }
      return keys.size() < 2 ? std::nan("") : sum / std::log(static_cast<double>(keys.size()));
    }));
    close(ours.distance, naive.mean(h, [&](std::size_t b, std::size_t i, Keys keys) {
      double sum = 0;
      for (const int j : keys) {
        sum += naive.weight(b, h, i, static_cast<std::size_t>(j)) *
               std::abs(static_cast<int>(i + args.visibility.offset(b)) - j);
      }
      return keys.empty() ? std::nan("") : sum;
    }));
    close(ours.confidence, naive.mean(h, [&](std::size_t b, std::size_t i, Keys keys) {
      double largest = std::nan("");
      for (const int j : keys) largest = std::fmax(largest, naive.weight(b, h, i, static_cast<std::size_t>(j)));
      return largest;
    }));
    close(ours.first, naive.share(h, [](std::size_t, int, int j) { return j == 0; }));
    close(ours.previous, naive.share(h, [](std::size_t, int place, int j) { return j + 1 == place; }));
    close(ours.next, naive.share(h, [](std::size_t, int place, int j) { return j - 1 == place; }));
    close(ours.self, naive.share(h, [](std::size_t, int place, int j) { return j == place; }));
    const auto repeats = [&](std::size_t b, int place, int j) {
      return place >= 0 && place < static_cast<int>(args.S) && j >= 0 && j < place &&
             naive.token(b, j) == naive.token(b, place);
    };
    close(ours.duplicate, args.tokens == nullptr ? 0 : naive.share(h, repeats));
    close(ours.induction, args.tokens == nullptr ? 0 : naive.share(h, [&](std::size_t b, int place, int j) {
      return repeats(b, place, j - 1);
    }));
  }
}

TEST_CASE("statistics agree with their definitions, whatever is visible") {
  const std::size_t B = 2, H = 3;
  Context threads;
  REQUIRE(threads.pool.start(kHasThreads ? 3 : 1) == Status::kOk);
  const std::int32_t no_offsets[] = {0, 0}, offsets[] = {2, -3}, far[] = {40, -40};
  const std::int32_t all_keys[] = {100, 100}, lengths[] = {5, 0};
  std::uint32_t seed = 1;
  for (const auto& [L, S] : {std::pair<std::size_t, std::size_t>{9, 9}, {1, 7}, {6, 12}, {7, 3}}) {
    for (const std::int32_t* given : {no_offsets, offsets, far}) {
      for (const std::int32_t* key_lengths : {all_keys, lengths}) {
        for (const bool causal : {false, true}) {
          for (const Window window : {Window{}, Window{2, Window::kOpen}, Window{1, 1}, Window{0, 0}}) {
            for (const bool masked : {false, true}) {
              ++seed;
              Floats mask = random_floats(B * L * S, seed);
              for (float& bias : mask) bias = bias < 0 ? -kInf : bias;
              Visibility visibility{
                  .mask = {}, .causal = causal, .window = window, .offsets = given, .key_lengths = key_lengths};
              if (masked) visibility.mask = Mask(MaskType::kFloat, mask.data(), {B, 1, L, S});
              const auto visible = [&, length = S](std::size_t b, std::size_t, std::size_t i, std::size_t j) {
                const std::int64_t after = static_cast<std::int64_t>(j) - static_cast<std::int64_t>(i) - given[b];
                return !(causal && after > 0) && -after <= window.left && after <= window.right &&
                       static_cast<std::int32_t>(j) < key_lengths[b] &&
                       !(masked && std::isinf(mask[(b * L + i) * length + j]));
              };
              Floats weights = random_floats(B * H * L * S, seed + 1000);
              for (std::size_t row = 0; row < B * H * L; ++row) {
                double sum = 0;
                for (std::size_t j = 0; j < S; ++j) {
                  float& w = weights[row * S + j];
                  w = visible(row / (H * L), 0, row % L, j) ? std::abs(w) + 1e-3f : 0.0f;
                  sum += w;
                }
                for (std::size_t j = 0; sum > 0 && j < S; ++j) weights[row * S + j] /= static_cast<float>(sum);
              }
              std::vector<std::int32_t> tokens;
              for (const float number : random_floats(B * S, seed + 2000))
                tokens.push_back(number < 0 ? -1 : number < 0.5f);
              AnalysisArgs args{.B = B, .H = H, .L = L, .S = S, .weights = weights.data(), .visibility = visibility};
              check_against_naive(args, threads, visible);
              args.tokens = tokens.data();
              check_against_naive(args, threads, visible);
              args.token_batch = S;
              check_against_naive(args, threads, visible);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("shares of heads that do one thing alone") {
  // 4 tokens, A B A B. Head 0 looks at the token before (the first at itself), 1 at the earlier same token (or itself),
  // 2 at what follows that, 3 at the first.
  const std::vector<std::vector<std::size_t>> looks = {{0, 0, 1, 2}, {0, 1, 0, 1}, {0, 1, 1, 2}, {0, 0, 0, 0}};
  const std::int32_t tokens[] = {7, 8, 7, 8};
  Floats weights(4 * 16);
  for (std::size_t h = 0; h < 4; ++h) {
    for (std::size_t i = 0; i < 4; ++i) weights[(h * 4 + i) * 4 + looks[h][i]] = 1.0f;
  }
  Visibility causal;
  causal.causal = true;
  const auto statistics =
      analyze({.B = 1, .H = 4, .L = 4, .S = 4, .weights = weights.data(), .visibility = causal, .tokens = tokens});
  const auto is = [](const HeadStatistics& s, const std::vector<float>& expected) {
    CHECK(std::vector<float>{s.confidence, s.first, s.previous, s.next, s.self, s.duplicate, s.induction} == expected);
  };
  const float third = 1.0f / 3;
  is(statistics[0], {1, 0.5f, 1, 0, 0.25f, 0, 1});  // in A B A B, what follows the earlier token is the one before
  is(statistics[1], {1, 0.5f, 0, 0, 0.5f, 1, 0});
  is(statistics[2], {1, 0.25f, 2 * third, 0, 0.5f, 0, 1});
  is(statistics[3], {1, 1, third, 0, 0.25f, 0.5f, 0});
}

TEST_CASE("uniform weights have entropy 1, a single one 0") {
  // Head 0 is uniform over 4 keys, head 1 looks at itself.
  Floats weights(2 * 4 * 4, 0.25f);
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) weights[16 + i * 4 + j] = i == j ? 1.0f : 0.0f;
  }
  const auto statistics = analyze(weights, 1, 2, 4, 4, {});
  CHECK(statistics[0].entropy == doctest::Approx(1.0));
  CHECK(statistics[0].distance == doctest::Approx((1.5 + 1.0 + 1.0 + 1.5) / 4));
  CHECK(statistics[1].entropy == 0.0f);
  CHECK(statistics[1].distance == 0.0f);
}

TEST_CASE("entropy is normalised by the keys that are allowed") {
  Visibility causal;
  causal.causal = true;
  // Uniform over what is allowed: query 0 has no choice and does not count.
  const Floats weights = {1, 0, 0, 0.5f, 0.5f, 0, 1.0f / 3, 1.0f / 3, 1.0f / 3};
  const auto statistics = analyze(weights, 1, 1, 3, 3, causal);
  CHECK(statistics[0].entropy == doctest::Approx(1.0));
  CHECK(statistics[0].distance == doctest::Approx((0 + 0.5 + 1.0) / 3));
}

TEST_CASE("distance counts from the offset, masked queries do not count") {
  const std::vector<std::uint8_t> bytes = {1, 1, 0, 0};
  Visibility visibility;
  visibility.mask = Mask(MaskType::kUint8, bytes.data(), {1, 1, 2, 2});
  const std::int32_t offset = 3;
  visibility.offsets = &offset;
  const auto statistics = analyze({1, 0, 0, 0}, 1, 1, 2, 2, visibility);
  CHECK(statistics[0].distance == doctest::Approx(3.0));
  CHECK(statistics[0].entropy == 0.0f);
}

TEST_CASE("heads that see nothing have zeros") {
  const std::vector<std::int32_t> lengths = {0};
  Visibility visibility;
  visibility.key_lengths = lengths.data();
  const auto statistics = analyze({0, 0, 0, 0}, 1, 1, 2, 2, visibility);
  CHECK(statistics[0].entropy == 0.0f);
  CHECK(statistics[0].distance == 0.0f);
}

}  // namespace
}  // namespace headwise::test
