#include "attention/head_statistics.hpp"

#include "support.hpp"

namespace headwise::test {
namespace {

std::vector<HeadStatistics> analyze(const Floats& weights, std::size_t B, std::size_t H, std::size_t L, std::size_t S,
                                    const Visibility& visibility) {
  Context context;
  REQUIRE(context.pool.start(1) == Status::kOk);
  REQUIRE(context.arena.reserve(analysis_scratch(S, 1)) == Status::kOk);
  std::vector<HeadStatistics> statistics(H);
  analyze_heads(weights.data(), B, H, L, S, visibility, context, statistics.data());
  return statistics;
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
