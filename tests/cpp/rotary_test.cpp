#include "attention/rotary.hpp"

#include <limits>
#include <numeric>

#include "support.hpp"

namespace headwise::test {
namespace {

TEST_CASE("angles are accurate at far positions") {
  ThreadPool pool;
  REQUIRE(pool.start(1) == Status::kOk);
  const Rotary rotary{.dim = 6, .base = 10000.0f};
  const std::vector<std::int32_t> positions = {0, 1, -7, 123456789};
  Floats cos(positions.size() * 3), sin(cos.size());
  fill_rotary_table(rotary, {1, positions.size(), positions.data()}, Rotation::kForward, {cos.data(), sin.data()},
                    pool);
  for (std::size_t n = 0; n < positions.size(); ++n) {
    for (std::size_t k = 0; k < 3; ++k) {
      const double angle = positions[n] * std::pow(10000.0, -2.0 * static_cast<double>(k) / 6);
      CHECK(std::abs(cos[n * 3 + k] - std::cos(angle)) < 1e-7);
      CHECK(std::abs(sin[n * 3 + k] - std::sin(angle)) < 1e-7);
    }
  }
}

TEST_CASE("counted positions pass 2^31, and go back") {
  Context context;
  start(context, 1);
  const Rotary rotary{.dim = 2};
  const std::vector<std::int32_t> first = {std::numeric_limits<std::int32_t>::max(), -3};
  const TokenPositions positions{.B = 2, .L = 2, .first = first.data()};
  const Floats x = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f};
  Floats there(8), back(8);
  const auto from = [](const Floats& values) { return HeadView<const float>::heads_in_rows(values.data(), 1, 2, 2); };
  const auto to = [](Floats& values) { return HeadView<float>::heads_in_rows(values.data(), 1, 2, 2); };
  REQUIRE(rotate_to_positions(rotary, {2, 1, 2, 2, from(x), to(there)}, positions, context) == Status::kOk);
  check_room(context.arena);
  for (std::size_t row = 0; row < 4; ++row) {
    const double angle = static_cast<double>(first[row / 2]) + static_cast<double>(row % 2);
    CHECK(there[2 * row] == doctest::Approx(std::cos(angle) * x[2 * row] - std::sin(angle) * x[2 * row + 1]));
    CHECK(there[2 * row + 1] == doctest::Approx(std::sin(angle) * x[2 * row] + std::cos(angle) * x[2 * row + 1]));
  }
  Floats cos(4), sin(4);
  rotate_to_positions(rotary, {2, 1, 2, 2, from(there), to(back)}, positions, Rotation::kBackward,
                      {cos.data(), sin.data()}, context.pool);
  for (std::size_t n = 0; n < 8; ++n) CHECK(back[n] == doctest::Approx(x[n]));
}

TEST_CASE("pairs are rotated, halves or neighbours, and what lies beyond dim stays") {
  ThreadPool pool;
  REQUIRE(pool.start(1) == Status::kOk);
  const std::size_t B = 2, H = 3, L = 4, D = 7, dim = 6;
  const Floats x = random_floats(B * H * L * D, 1), cos = random_floats(B * L * 3, 2),
               sin = random_floats(B * L * 3, 3);
  std::vector<std::int32_t> rows(B * L);
  std::iota(rows.rbegin(), rows.rend(), 0);
  for (const bool interleaved : {false, true}) {
    for (const bool given : {false, true}) {
      Floats rotated(x.size());
      rotate({.dim = dim, .interleaved = interleaved},
             {.B = B,
              .H = H,
              .L = L,
              .D = D,
              .from = HeadView<const float>::heads_in_rows(x.data(), H, L, D),
              .to = HeadView<float>::heads_first(rotated.data(), H, L, D),
              .rows = given ? rows.data() : nullptr,
              .row_batch = L},
             cos.data(), sin.data(), pool);
      for (std::size_t b = 0; b < B; ++b) {
        for (std::size_t h = 0; h < H; ++h) {
          for (std::size_t i = 0; i < L; ++i) {
            const float* from = x.data() + ((b * L + i) * H + h) * D;
            const float* to = rotated.data() + ((b * H + h) * L + i) * D;
            const std::size_t row = given ? static_cast<std::size_t>(rows[b * L + i]) : b * L + i;
            for (std::size_t k = 0; k < 3; ++k) {
              const std::size_t first = interleaved ? 2 * k : k, second = interleaved ? 2 * k + 1 : k + 3;
              const float c = cos[row * 3 + k], s = sin[row * 3 + k];
              CHECK(to[first] == doctest::Approx(c * from[first] - s * from[second]));
              CHECK(to[second] == doctest::Approx(s * from[first] + c * from[second]));
            }
            CHECK(to[6] == from[6]);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace headwise::test
