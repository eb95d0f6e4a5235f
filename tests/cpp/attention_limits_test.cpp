// What masks hide, and what NaN, infinities and the largest floats reach.
#include "attention_cases.hpp"

namespace headwise::test {
namespace {

TEST_CASE("a mask shorter than the keys is not read beyond its end") {
  const std::vector<std::uint8_t> bytes = {1, 0, 1};
  const Mask mask(MaskType::kUint8, bytes.data(), {1, 1, 1, 3});
  Floats bias(5, 7.0f);
  CHECK(mask.bias_row(0, 0, 0, 0, 5, bias.data()) == bias.data());
  CHECK(bias == Floats{0.0f, -kInf, 0.0f, 7.0f, 7.0f});
}

TEST_CASE("a key mask masks beside a mask, in memory of its own") {
  const std::vector<std::uint8_t> kept = {1, 0, 1, 1, 1, 1, 1, 1, 1, 0};
  const Floats floats = {0.5f, 1.5f, -kInf, 2.5f, 3.5f};
  const std::vector<std::int32_t> integers = {1, 1, 0, 1, 1};
  Visibility visibility;
  visibility.key_mask = Mask(MaskType::kUint8, kept.data(), {2, 1, 1, 5});
  const auto row = [&](std::size_t b) {
    Floats scratch(5, 7.0f);
    const float* bias = visibility.bias_row(b, 0, 0, 0, 5, scratch.data());
    return Floats(bias, bias + 5);
  };
  CHECK(row(0) == Floats{0.0f, -kInf, 0.0f, 0.0f, 0.0f});
  CHECK(row(1) == Floats{0.0f, 0.0f, 0.0f, 0.0f, -kInf});
  visibility.mask = Mask(MaskType::kFloat, floats.data(), {1, 1, 1, 5});
  CHECK(row(0) == Floats{0.5f, -kInf, -kInf, 2.5f, 3.5f});
  CHECK(row(1) == Floats{0.5f, 1.5f, -kInf, 2.5f, -kInf});
  visibility.mask = Mask(MaskType::kInt32, integers.data(), {1, 1, 1, 5});
  CHECK(row(0) == Floats{0.0f, -kInf, -kInf, 0.0f, 0.0f});
  CHECK(floats[1] == 1.5f);
}

TEST_CASE("NaN and infinities in masked keys and values reach nothing") {
  for (const auto& [bytes, L] : {std::pair{true, std::size_t{17}}, {false, 17}, {true, 3}, {false, 1}}) {
    Case c{.shape = {1, 2, 2, L, 20, 15, 9}};
    c.integer_mask = bytes;
    c.float_mask = !bytes;
    Inputs in(c.shape);
    // Key 7 is masked for everybody.
    for (std::size_t row = 0; row < c.shape.H * c.shape.L; ++row) in.bytes[row * c.shape.S + 7] = 0;
    for (std::size_t row = 0; row < c.shape.L; ++row) in.bias[row * c.shape.S + 7] = -kInf;
    const Result clean = run(c, in, 1, true);
    for (const float bad : {kNaN, kInf, -kInf}) {
      std::fill_n(in.k.begin() + 7 * c.shape.H * c.shape.D, c.shape.H * c.shape.D, bad);
      std::fill_n(in.v.begin() + 7 * c.shape.H * c.shape.Dv, c.shape.H * c.shape.Dv, bad);
      const Result poisoned = run(c, in, 1, true);
      CHECK(poisoned.weights == clean.weights);
      for (std::size_t n = 0; n < clean.output.size(); ++n) {
        CHECK(poisoned.output[n] == doctest::Approx(clean.output[n]).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("NaN in the last number of the last head's last, masked value reaches nothing") {
  for (const std::size_t L : {1, 9}) {
    for (const std::size_t Dv : {1, 8, 9, 15}) {
      for (const bool in_rows : {true, false}) {
        Case c{.shape = {2, 4, 2, L, 21, 8, Dv}};
        c.key_lengths = {21, 20};
        c.heads_in_rows = in_rows;
        Inputs in(c.shape);
        const Result clean = run(c, in, 1, true);
        view<float>(c, in.v.data(), 2, 21, Dv).at(1, 1, 20)[Dv - 1] = kNaN;
        const Result spoiled = run(c, in, 1, true);
        for (std::size_t n = 0; n < clean.output.size(); ++n) {
          CHECK(spoiled.output[n] == doctest::Approx(clean.output[n]).epsilon(1e-5));
        }
      }
    }
  }
}

TEST_CASE("a gate of 0 makes zeros of NaN and infinities, also where weights are asked for") {
  for (const std::size_t L : {2, 9}) {
    for (const float bad : {kNaN, kInf}) {
      Case c{.shape = {1, 2, 2, L, 12, 8, 8}};
      c.gates = {0.0f, 1.0f};
      const Inputs clean(c.shape);
      for (Floats Inputs::*spoiled : {&Inputs::q, &Inputs::k, &Inputs::v}) {
        Inputs in = clean;
        for (std::size_t row = 0; row < (in.*spoiled).size(); row += 16)
          std::fill_n((in.*spoiled).begin() + static_cast<std::ptrdiff_t>(row), 8, bad);
        for (const bool weights : {false, true}) {
          const Floats output = run(c, in, 1, weights).output;
          for (std::size_t i = 0; i < L; ++i) {
            for (std::size_t n = 0; n < 8; ++n) {
              CHECK(output[i * 16 + n] == 0.0f);
              CHECK(std::isfinite(output[i * 16 + 8 + n]));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a mask of fewer columns masks the keys beyond, whatever lies behind it in memory") {
  for (const std::size_t L : {1, 9}) {
    Case shorter{.shape = {1, 1, 1, L, 21, 8, 8}};
    shorter.key_lengths = {13};
    const Inputs in(shorter.shape);
    const Result expected = run(shorter, in, 1, true);
    const Floats zeros(13, 0.0f);
    Floats bias(21, 5.0f);  // all rows share one
    std::copy(zeros.begin(), zeros.end(), bias.begin());
    const std::vector<std::uint8_t> bytes(21, 1);
    for (const Mask& mask :
         {Mask(MaskType::kFloat, bias.data(), {1, 1, 1, 13}), Mask(MaskType::kUint8, bytes.data(), {1, 1, 1, 13})}) {
      Case c{.shape = shorter.shape};
      c.mask = &mask;
      const Result result = run(c, in, 1, true);
      CHECK(result.output == expected.output);
      CHECK(result.weights == expected.weights);
    }
  }
}

// One head of width 1; query 1 everywhere, so that keys are scores.
Result weigh(std::size_t L, const Floats& scores, const Mask* mask, bool overflows_in_keys, WeightsStage stage) {
  const std::size_t S = scores.size();
  Case c{.shape = {1, 1, 1, L, S, 1, 1}};
  c.scale = 1.0f;
  c.mask = mask;
  Inputs in(c.shape);
  // 3e38 is the query's part of the score, or the key's.
  std::fill(in.q.begin(), in.q.end(), overflows_in_keys ? 1.0f : 3e38f);
  for (std::size_t j = 0; j < S; ++j) in.k[j] = overflows_in_keys ? scores[j] : scores[j] / 3e38f;
  return run(c, in, 1, true, stage);
}

TEST_CASE("scores up to the largest float have weights, and so have masks down to the lowest") {
  const float lowest = std::numeric_limits<float>::lowest();
  for (const std::size_t L : {1, 9}) {
    for (const bool in_keys : {false, true}) {
      const auto weights = [&](const Floats& scores, const Mask* mask = nullptr) {
        const Floats all = weigh(L, scores, mask, in_keys, WeightsStage::kProbabilities).weights;
        for (std::size_t i = 1; i < L; ++i) {
          CHECK(std::equal(all.begin(), all.begin() + scores.size(), all.begin() + i * scores.size()));
        }
        return Floats(all.begin(), all.begin() + scores.size());
      };
      CHECK(weights({3e38f, 1.5e38f}) == Floats{1.0f, 0.0f});
      CHECK(weights({3e38f, 3e38f, -3e38f}) == Floats{0.5f, 0.5f, 0.0f});
      CHECK(weights({-3e38f, -3e38f}) == Floats{0.5f, 0.5f});
      CHECK(weights({2.5e38f, 2.5e38f, 2.4e38f, 0.0f}) == Floats{0.5f, 0.5f, 0.0f, 0.0f});
      // A row of a mask that holds nothing but the lowest float: all keys alike, up to the last ones behind whole
      // vectors.
      const Floats all_lowest(11, lowest);
      const Mask mask(MaskType::kFloat, all_lowest.data(), {1, 1, 1, 11});
      for (const float weight : weights(Floats(11, 0.0f), &mask)) CHECK(weight == doctest::Approx(1.0 / 11));
      Floats tail(11, 0.0f);
      tail[10] = lowest;
      const Mask of_tail(MaskType::kFloat, tail.data(), {1, 1, 1, 11});
      const Floats with_tail = weights(Floats(11, 0.0f), &of_tail);
      CHECK(with_tail[10] == 0.0f);
      CHECK(with_tail[0] == doctest::Approx(0.1));
      const Floats finite = {-3e38f, -2.5e38f, -3e38f};
      const Mask finite_mask(MaskType::kFloat, finite.data(), {1, 1, 1, 3});
      CHECK(weights(Floats(3, 0.0f), &finite_mask) == Floats{0.0f, 1.0f, 0.0f});
      const Floats masked = weigh(L, Floats(3, 0.0f), &finite_mask, in_keys, WeightsStage::kMasked).weights;
      for (std::size_t n = 0; n < masked.size(); ++n) CHECK(masked[n] == finite[n % 3]);
      CHECK(weigh(L, {3e38f, 1.5e38f}, nullptr, in_keys, WeightsStage::kMasked).output[0] ==
            weigh(L, {3e38f, 1.5e38f}, nullptr, in_keys, WeightsStage::kProbabilities).output[0]);
    }
  }
}

TEST_CASE("NaN after a causal query does not reach it") {
  Case c{.shape = {1, 1, 1, 12, 12, 8, 8}};
  c.causal = true;
  Inputs in(c.shape);
  std::fill_n(in.v.begin() + 5 * 8, 8, kNaN);
  const Floats output = run(c, in, 1, false).output;
  for (std::size_t i = 0; i < 12; ++i) CHECK(std::isnan(output[i * 8]) == (i >= 5));
}

TEST_CASE("a NaN or +inf in a float mask spoils its own row alone") {
  for (const float bad : {kNaN, kInf}) {
    Case c{.shape = {1, 2, 2, 9, 11, 8, 8}};
    c.float_mask = true;
    Inputs in(c.shape);
    in.bias[4 * 11 + 3] = bad;
    const Result result = run(c, in, 1, false);
    for (std::size_t i = 0; i < 9; ++i) CHECK(std::isnan(result.output[i * 16]) == (i == 4));
  }
}

TEST_CASE("a row of visible -inf scores is NaN, a fully masked one is zeros") {
  Case c{.shape = {1, 1, 1, 2, 1, 1, 1}};
  c.integer_mask = true;  // query 0 is fully masked by Inputs
  Inputs in(c.shape);
  in.bytes = {0, 1};
  in.q = {1.0f, 1.0f};
  in.k = {-kInf};
  const Floats output = run(c, in, 1, false).output;
  CHECK(output[0] == 0.0f);
  CHECK(std::isnan(output[1]));
}

}  // namespace
}  // namespace headwise::test
