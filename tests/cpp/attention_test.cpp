#include "attention/scaled_dot_product.hpp"
#include "support.hpp"

namespace headwise::test {
namespace {

struct Case {
  AttentionShape shape;
  bool causal = false;
  Window window = {};
  std::vector<std::int32_t> offsets = {};
  std::vector<std::int32_t> key_lengths = {};
  bool integer_mask = false, float_mask = false;  // [1, H, L, M] bytes; [B, 1, L, M] floats with some -inf
  std::size_t mask_columns = 0;                   // M, S where it is 0
  std::vector<std::uint32_t> kv_heads = {};       // uneven groups
  float softcap = 0.0f;
  Floats slopes = {};
  bool heads_in_rows = true;
  Floats gates = {};
  float scale = 0.3f;
  const Mask* mask = nullptr;  // or this one
};

struct Inputs {
  Floats q, k, v;  // [B, L, H*D] and so on, or [B, H, L, D]: only the view knows
  std::vector<std::uint8_t> bytes;
  Floats bias;

  explicit Inputs(const AttentionShape& s)
      : q(random_floats(s.B * s.L * s.H * s.D, 1)),
        k(random_floats(s.B * s.S * s.G * s.D, 2)),
        v(random_floats(s.B * s.S * s.G * s.Dv, 3)),
        bytes(s.H * s.L * s.S),
        bias(random_floats(s.B * s.L * s.S, 4, 2.0f)) {
    std::mt19937 generator(5);
    for (auto& byte : bytes) byte = generator() % 3 == 0 ? 0 : 200;
    for (auto& value : bias) value = generator() % 4 == 0 ? -kInf : value;
    if (bytes.size() >= s.S) std::fill_n(bytes.begin(), s.S, 0);  // a fully masked row: query 0 of head 0
  }
};

template <class Float>
HeadView<Float> view(const Case& c, Float* data, std::size_t heads, std::size_t length, std::size_t width) {
  return c.heads_in_rows ? HeadView<Float>::heads_in_rows(data, heads, length, width)
                         : HeadView<Float>::heads_first(data, heads, length, width);
}

std::size_t mask_columns(const Case& c) { return c.mask_columns == 0 ? c.shape.S : c.mask_columns; }

struct Result {
  Floats output, weights;
};

Result run(const Case& c, const Inputs& in, std::size_t threads, bool weights,
           WeightsStage stage = WeightsStage::kProbabilities) {
  const AttentionShape& s = c.shape;
  Result result{Floats(s.B * s.L * s.H * s.Dv, kNaN), Floats(weights ? s.B * s.H * s.L * s.S : 0, kNaN)};
  AttentionArgs args;
  args.shape = s;
  args.query = view<const float>(c, in.q.data(), s.H, s.L, s.D);
  args.key = view<const float>(c, in.k.data(), s.G, s.S, s.D);
  args.value = view<const float>(c, in.v.data(), s.G, s.S, s.Dv);
  args.output = view<float>(c, result.output.data(), s.H, s.L, s.Dv);
  args.weights = weights ? result.weights.data() : nullptr;
  args.stage = stage;
  args.visibility.causal = c.causal;
  args.visibility.window = c.window;
  args.visibility.offsets = c.offsets.empty() ? nullptr : c.offsets.data();
  args.visibility.key_lengths = c.key_lengths.empty() ? nullptr : c.key_lengths.data();
  const std::size_t M = mask_columns(c);
  if (c.integer_mask) args.visibility.mask = Mask(MaskType::kUint8, in.bytes.data(), {1, s.H, s.L, M});
  if (c.float_mask) args.visibility.mask = Mask(MaskType::kFloat, in.bias.data(), {s.B, 1, s.L, M});
  if (c.mask != nullptr) args.visibility.mask = *c.mask;
  if (!c.kv_heads.empty()) args.kv_heads.table = c.kv_heads.data();
  args.scale = c.scale;
  args.softcap = c.softcap;
  args.slopes = c.slopes.empty() ? nullptr : c.slopes.data();
  args.gates = c.gates.empty() ? nullptr : c.gates.data();
  Context context;
  start(context, threads);
  REQUIRE(attention(args, context) == Status::kOk);
  check_room(context.arena);
  return result;
}

Floats head_rows(const Case& c, const Floats& x, std::size_t heads, std::size_t b, std::size_t h, std::size_t length,
                 std::size_t width) {
  Floats rows(length * width);
  const auto from = view<const float>(c, x.data(), heads, length, width);
  for (std::size_t i = 0; i < length; ++i) std::copy_n(from.at(b, h, i), width, rows.begin() + i * width);
  return rows;
}

template <class T>
const std::vector<T>& weights_at(const NaiveHead<T>& head, WeightsStage stage) {
  switch (stage) {
    case WeightsStage::kScores:
      return head.scores;
    case WeightsStage::kCapped:
      return head.capped;
    case WeightsStage::kMasked:
      return head.masked;
    case WeightsStage::kProbabilities:
      break;
  }
  return head.weights;
}

void check_against_reference(const Case& c, const Inputs& in, const Result& result, WeightsStage stage) {
  const AttentionShape& s = c.shape;
  const std::size_t M = mask_columns(c);
  for (std::size_t b = 0; b < s.B; ++b) {
    for (std::size_t h = 0; h < s.H; ++h) {
      const std::size_t g = c.kv_heads.empty() ? h * s.G / s.H : c.kv_heads[h];
      const Floats q = head_rows(c, in.q, s.H, b, h, s.L, s.D), k = head_rows(c, in.k, s.G, b, g, s.S, s.D);
      const Floats v = head_rows(c, in.v, s.G, b, g, s.S, s.Dv);
      const std::int64_t offset = c.offsets.empty() ? 0 : c.offsets[b];
      const auto distance = [&](std::size_t i, std::size_t j) {
        return static_cast<std::int64_t>(i) + offset - static_cast<std::int64_t>(j);
      };
      const auto mask = [&](std::size_t i, std::size_t j) {
        return c.float_mask ? in.bias[(b * s.L + i) * M + j] : 0.0f;
      };
      const auto bias = [&](std::size_t i, std::size_t j) {
        const float alibi = c.slopes.empty() ? 0.0f : -c.slopes[h] * static_cast<float>(std::abs(distance(i, j)));
        return mask(i, j) + alibi;
      };
      const auto visible = [&](std::size_t i, std::size_t j) {
        if (c.causal && distance(i, j) < 0) return false;
        if (distance(i, j) > c.window.left || -distance(i, j) > c.window.right) return false;
        if (!c.key_lengths.empty() && static_cast<std::int32_t>(j) >= c.key_lengths[b]) return false;
        if ((c.float_mask || c.integer_mask) && j >= M) return false;
        if (c.integer_mask && in.bytes[(h * s.L + i) * M + j] == 0) return false;
        return mask(i, j) != -kInf;
      };
      auto exact = naive_head<double>(q, k, v, s.L, s.S, s.D, s.Dv, static_cast<double>(c.scale), visible, bias,
                                      static_cast<double>(c.softcap));
      auto naive = naive_head<float>(q, k, v, s.L, s.S, s.D, s.Dv, c.scale, visible, bias, c.softcap);
      for (auto& value : exact.output) value *= c.gates.empty() ? 1.0 : static_cast<double>(c.gates[h]);
      for (auto& value : naive.output) value *= c.gates.empty() ? 1.0f : c.gates[h];
      check_close(head_rows(c, result.output, s.H, b, h, s.L, s.Dv).data(), exact.output, naive.output);
      check_close(result.weights.data() + (b * s.H + h) * s.L * s.S, weights_at(exact, stage),
                  weights_at(naive, stage));
    }
  }
}

void check(const Case& c) {
  INFO("B " << c.shape.B << " H " << c.shape.H << " G " << c.shape.G << " L " << c.shape.L << " S " << c.shape.S
            << " D " << c.shape.D << " Dv " << c.shape.Dv << " causal " << c.causal << " window " << c.window.left
            << " " << c.window.right << " offset " << (c.offsets.empty() ? 0 : c.offsets[0]) << " bytes "
            << c.integer_mask << " floats " << c.float_mask << " columns " << c.mask_columns << " in rows "
            << c.heads_in_rows << " softcap " << c.softcap << " ALiBi " << !c.slopes.empty());
  const Inputs in(c.shape);
  const Result one = run(c, in, 1, true);
  check_against_reference(c, in, one, WeightsStage::kProbabilities);
  for (const auto stage : {WeightsStage::kScores, WeightsStage::kCapped, WeightsStage::kMasked}) {
    check_against_reference(c, in, run(c, in, 1, true, stage), stage);
  }
  CHECK(run(c, in, 1, false).output == one.output);
  CHECK(with_small_tiles([&] { return run(c, in, 1, false).output; }) == one.output);
  if (kHasThreads) {
    for (const std::size_t threads : {2, 4}) {
      const Result many = run(c, in, threads, true);
      CHECK(many.output == one.output);
      CHECK(many.weights == one.weights);
    }
  }
}

const std::vector<AttentionShape> kShapes = {
    // B, H, G, L, S, D, Dv
    {1, 1, 1, 1, 1, 1, 1},    {1, 1, 1, 3, 3, 4, 4},     {2, 3, 3, 15, 17, 15, 15},   {1, 4, 2, 17, 15, 8, 3},
    {1, 2, 2, 1, 33, 64, 64}, {2, 2, 1, 48, 48, 16, 24}, {1, 4, 4, 77, 77, 15, 15},   {1, 2, 2, 128, 131, 64, 17},
    {2, 6, 3, 2, 70, 20, 9},  {3, 8, 1, 4, 9, 5, 130},   {1, 12, 12, 1, 200, 64, 64}, {1, 2, 2, 5, 9, 12, 8}};

// Everything that may be masked, by itself and in pairs.
std::vector<Case> masked_variants(const Case& plain) {
  std::vector<Case> cases = {plain};
  const auto add = [&](const auto& change) {
    cases.push_back(plain);
    change(cases.back());
  };
  const AttentionShape& s = plain.shape;
  std::vector<std::int32_t> lengths(s.B), offsets(s.B);
  for (std::size_t b = 0; b < s.B; ++b) {
    lengths[b] = static_cast<std::int32_t>(s.S / (b + 2));
    offsets[b] = static_cast<std::int32_t>(5 * b) - 2;
  }
  add([&](Case& c) { c.causal = true; });
  for (const std::int32_t offset : {3, -1000, std::numeric_limits<std::int32_t>::max()}) {
    if (offset > 3 && !plain.slopes.empty())
      continue;  // float32 cannot tell such distances apart, nor can the reference
    add([&](Case& c) {
      c.causal = true;
      c.offsets.assign(s.B, offset);
    });
  }
  add([&](Case& c) { c.window = {4, 0}; });
  add([&](Case& c) { c.window = {0, 11}; });
  add([&](Case& c) {
    c.window = {9, 2};
    c.offsets = offsets;
    c.key_lengths = lengths;
    c.float_mask = true;
  });
  add([&](Case& c) {
    c.causal = c.float_mask = true;
    c.window.left = 20;
  });
  add([&](Case& c) {
    c.float_mask = true;
    c.key_lengths = lengths;
    c.mask_columns = s.S / 2 + 1;
  });
  add([&](Case& c) {
    c.integer_mask = true;
    c.mask_columns = s.S > 3 ? s.S - 1 : 0;
    c.gates = random_floats(s.H, 9);
    c.gates[0] = 0.0f;
  });
  return cases;
}

TEST_CASE("attention agrees with the double reference for every shape and mask") {
  for (const AttentionShape& shape : kShapes) {
    for (const bool in_rows : {true, false}) {
      Case c{.shape = shape};
      c.heads_in_rows = in_rows;
      for (const Case& masked : masked_variants(c)) check(masked);
    }
  }
}

TEST_CASE("heads of more than one wave agree with the double reference") {
  for (const AttentionShape& shape : std::initializer_list<AttentionShape>{
           {3, 4, 4, 130, 130, 64, 64}, {2, 6, 3, 40, 700, 64, 40}, {5, 4, 4, 64, 90, 96, 64}}) {
    for (const bool in_rows : {true, false}) {
      Case c{.shape = shape};
      c.heads_in_rows = in_rows;
      c.causal = !in_rows;
      check(c);
    }
  }
}

TEST_CASE("softcap and ALiBi agree with the double reference, with every mask") {
  for (const AttentionShape& shape : {kShapes[3], kShapes[6], kShapes[8]}) {
    Case c{.shape = shape};
    c.softcap = 0.7f;
    for (const Case& masked : masked_variants(c)) check(masked);
    c.slopes = random_floats(shape.H, 11, 0.5f);
    for (const Case& masked : masked_variants(c)) check(masked);
    c.softcap = 0.0f;
    for (const Case& masked : masked_variants(c)) check(masked);
  }
}

TEST_CASE("uneven groups read the heads that their table names") {
  for (const std::size_t L : {1, 3, 20}) {
    Case c{.shape = {2, 5, 3, L, 30, 12, 8}};
    c.kv_heads = {0, 1, 1, 1, 2};
    for (const Case& masked : masked_variants(c)) check(masked);
  }
}

TEST_CASE("no keys, no queries or no heads: zeros of the right shape") {
  for (const AttentionShape& shape : std::initializer_list<AttentionShape>{{2, 2, 2, 9, 0, 8, 8},
                                                                           {2, 2, 2, 3, 0, 8, 8},
                                                                           {1, 2, 2, 0, 7, 8, 8},
                                                                           {0, 2, 2, 7, 7, 8, 8},
                                                                           {1, 0, 0, 7, 7, 8, 8}}) {
    const Case c{.shape = shape};
    for (const float value : run(c, Inputs(shape), 1, true).output) CHECK(value == 0.0f);
  }
}

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

TEST_CASE("large scores neither overflow nor lose the largest") {
  Case c{.shape = {1, 2, 2, 17, 33, 8, 8}};
  c.scale = 1000.0f;
  check(c);
  c.scale = 0.0f;
  check(c);
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
