#include "attention/scaled_dot_product.hpp"
#include "support.hpp"

namespace headwise::test {
namespace {

struct Case {
  AttentionShape shape;
  bool causal = false;
  std::int64_t offset = 0;
  std::vector<std::int32_t> key_lengths = {};
  bool integer_mask = false, float_mask = false;  // [1, H, L, S] bytes; [B, 1, L, S] floats with some -inf
  bool heads_in_rows = true;
  Floats gates = {};
  float scale = 0.3f;
};

struct Inputs {
  Floats q, k, v;  // [B, L, H*D] and so on, or [B, H, L, D]: only the view knows
  std::vector<std::uint8_t> bytes;
  Floats bias;

  explicit Inputs(const AttentionShape& s)
      : q(random_floats(s.B * s.L * s.H * s.D, 1)),
        k(random_floats(s.B * s.S * s.H * s.D, 2)),
        v(random_floats(s.B * s.S * s.H * s.Dv, 3)),
        bytes(s.H * s.L * s.S),
        bias(random_floats(s.B * s.L * s.S, 4, 2.0f)) {
    std::mt19937 generator(5);
    for (auto& byte : bytes) byte = generator() % 3 == 0 ? 0 : 200;
    for (auto& value : bias) value = generator() % 4 == 0 ? -kInf : value;
    if (s.S > 0) std::fill_n(bytes.begin(), s.S, 0);  // a fully masked row: query 0 of head 0
  }
};

template <class Float>
HeadView<Float> view(const Case& c, Float* data, std::size_t length, std::size_t width) {
  return c.heads_in_rows ? HeadView<Float>::heads_in_rows(data, c.shape.H, length, width)
                         : HeadView<Float>::heads_first(data, c.shape.H, length, width);
}

struct Result {
  Floats output, weights;
};

Result run(const Case& c, const Inputs& in, std::size_t threads, bool weights) {
  const AttentionShape& s = c.shape;
  Result result{Floats(s.B * s.L * s.H * s.Dv, kNaN), Floats(weights ? s.B * s.H * s.L * s.S : 0, kNaN)};
  AttentionArgs args;
  args.shape = s;
  args.query = view<const float>(c, in.q.data(), s.L, s.D);
  args.key = view<const float>(c, in.k.data(), s.S, s.D);
  args.value = view<const float>(c, in.v.data(), s.S, s.Dv);
  args.output = view<float>(c, result.output.data(), s.L, s.Dv);
  args.weights = weights ? result.weights.data() : nullptr;
  args.visibility.causal = c.causal;
  args.visibility.offset = c.offset;
  args.visibility.key_lengths = c.key_lengths.empty() ? nullptr : c.key_lengths.data();
  if (c.integer_mask) args.visibility.mask = Mask(MaskType::kUint8, in.bytes.data(), {1, s.H, s.L, s.S});
  if (c.float_mask) args.visibility.mask = Mask(MaskType::kFloat, in.bias.data(), {s.B, 1, s.L, s.S});
  args.scale = c.scale;
  args.gates = c.gates.empty() ? nullptr : c.gates.data();
  Context context;
  REQUIRE(context.pool.start(threads) == Status::kOk);
  REQUIRE(context.arena.reserve(attention_scratch(s, threads)) == Status::kOk);
  attention(args, context);
  return result;
}

Floats head_rows(const Case& c, const Floats& x, std::size_t b, std::size_t h, std::size_t length, std::size_t width) {
  Floats rows(length * width);
  const auto from = view<const float>(c, x.data(), length, width);
  for (std::size_t i = 0; i < length; ++i) std::copy_n(from.at(b, h, i), width, rows.begin() + i * width);
  return rows;
}

void check_against_reference(const Case& c, const Inputs& in, const Result& result) {
  const AttentionShape& s = c.shape;
  for (std::size_t b = 0; b < s.B; ++b) {
    for (std::size_t h = 0; h < s.H; ++h) {
      const Floats q = head_rows(c, in.q, b, h, s.L, s.D), k = head_rows(c, in.k, b, h, s.S, s.D);
      const Floats v = head_rows(c, in.v, b, h, s.S, s.Dv);
      const auto bias = [&](std::size_t i, std::size_t j) {
        return c.float_mask ? in.bias[(b * s.L + i) * s.S + j] : 0.0f;
      };
      const auto visible = [&](std::size_t i, std::size_t j) {
        if (c.causal && static_cast<std::int64_t>(j) > static_cast<std::int64_t>(i) + c.offset) return false;
        if (!c.key_lengths.empty() && static_cast<std::int32_t>(j) >= c.key_lengths[b]) return false;
        if (c.integer_mask && in.bytes[(h * s.L + i) * s.S + j] == 0) return false;
        return bias(i, j) != -kInf;
      };
      auto exact = naive_head<double>(q, k, v, s.L, s.S, s.D, s.Dv, static_cast<double>(c.scale), visible, bias);
      auto naive = naive_head<float>(q, k, v, s.L, s.S, s.D, s.Dv, c.scale, visible, bias);
      for (auto& value : exact.output) value *= c.gates.empty() ? 1.0 : static_cast<double>(c.gates[h]);
      for (auto& value : naive.output) value *= c.gates.empty() ? 1.0f : c.gates[h];
      check_close(head_rows(c, result.output, b, h, s.L, s.Dv).data(), exact.output, naive.output);
      if (result.weights.empty()) continue;
      check_close(result.weights.data() + (b * s.H + h) * s.L * s.S, exact.weights, naive.weights);
    }
  }
}

void check(const Case& c) {
  INFO("B " << c.shape.B << " H " << c.shape.H << " L " << c.shape.L << " S " << c.shape.S << " D " << c.shape.D
            << " Dv " << c.shape.Dv << " causal " << c.causal << " offset " << c.offset << " bytes " << c.integer_mask
            << " floats " << c.float_mask << " in rows " << c.heads_in_rows);
  const Inputs in(c.shape);
  const Result one = run(c, in, 1, true);
  check_against_reference(c, in, one);
  CHECK(run(c, in, 1, false).output == one.output);
  if (kHasThreads) {
    for (const std::size_t threads : {2, 4}) {
      const Result many = run(c, in, threads, true);
      CHECK(many.output == one.output);
      CHECK(many.weights == one.weights);
    }
  }
}

const std::vector<AttentionShape> kShapes = {
    // B, H, L, S, D, Dv
    {1, 1, 1, 1, 1, 1},    {1, 1, 3, 3, 4, 4},     {2, 3, 15, 17, 15, 15}, {1, 4, 17, 15, 8, 3},
    {1, 2, 1, 33, 64, 64}, {2, 2, 48, 48, 16, 24}, {1, 4, 77, 77, 15, 15}, {1, 2, 128, 131, 64, 17},
};

TEST_CASE("attention agrees with the double reference for every shape and mask") {
  for (const AttentionShape& shape : kShapes) {
    std::vector<std::int32_t> lengths(shape.B);
    for (std::size_t b = 0; b < shape.B; ++b) lengths[b] = static_cast<std::int32_t>(shape.S / (b + 2));
    for (const bool in_rows : {true, false}) {
      Case c{.shape = shape};
      c.heads_in_rows = in_rows;
      check(c);
      c.causal = true;
      check(c);
      for (const std::int64_t offset :
           {std::int64_t{3}, std::int64_t{-2}, std::int64_t{-1000}, std::int64_t{1} << 40}) {
        c.offset = offset;
        check(c);
      }
      c.offset = 0;
      c.float_mask = true;
      check(c);
      c.causal = false;
      c.key_lengths = lengths;
      check(c);
      c.float_mask = false;
      c.integer_mask = true;
      check(c);
      c.gates = random_floats(shape.H, 9);
      c.gates[0] = 0.0f;
      check(c);
    }
  }
}

TEST_CASE("large scores neither overflow nor lose the largest") {
  Case c{.shape = {1, 2, 17, 33, 8, 8}};
  c.scale = 1000.0f;
  check(c);
  c.scale = 0.0f;
  check(c);
}

TEST_CASE("NaN and infinities in masked keys and values reach nothing") {
  for (const bool bytes : {true, false}) {
    Case c{.shape = {1, 2, 17, 20, 15, 9}};
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

TEST_CASE("NaN after a causal query does not reach it") {
  Case c{.shape = {1, 1, 12, 12, 8, 8}};
  c.causal = true;
  Inputs in(c.shape);
  std::fill_n(in.v.begin() + 5 * 8, 8, kNaN);
  const Floats output = run(c, in, 1, false).output;
  for (std::size_t i = 0; i < 12; ++i) CHECK(std::isnan(output[i * 8]) == (i >= 5));
}

TEST_CASE("a NaN or +inf in a float mask spoils its own row alone") {
  for (const float bad : {kNaN, kInf}) {
    Case c{.shape = {1, 2, 9, 11, 8, 8}};
    c.float_mask = true;
    Inputs in(c.shape);
    in.bias[4 * 11 + 3] = bad;
    const Result result = run(c, in, 1, false);
    for (std::size_t i = 0; i < 9; ++i) CHECK(std::isnan(result.output[i * 16]) == (i == 4));
  }
}

TEST_CASE("a row of visible -inf scores is NaN, a fully masked one is zeros") {
  Case c{.shape = {1, 1, 2, 1, 1, 1}};
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
