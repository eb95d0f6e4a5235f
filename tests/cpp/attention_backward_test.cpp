#include "attention/attention_backward.hpp"

#include "gradients.hpp"

namespace headwise::test {
namespace {

struct Case {
  AttentionShape shape;
  bool causal = false;
  Window window = {};
  std::vector<std::int32_t> offsets = {}, key_lengths = {};
  bool integer_mask = false, float_mask = false;  // [1, H, L, M] bytes; [B, 1, L, M] floats with some -inf
  std::size_t mask_columns = 0;                   // M, S where it is 0
  std::vector<std::uint32_t> kv_heads = {};
  float softcap = 0.0f;
  Floats slopes = {};
  Dropout dropout = {};
  bool grad_weights = false, heads_in_rows = true;
  float scale = 0.4f;
};

struct Inputs {
  Floats q, k, v, grad_output, grad_weights, bias;
  std::vector<std::uint8_t> bytes;

  explicit Inputs(const Case& c)
      : q(random_floats(c.shape.B * c.shape.L * c.shape.H * c.shape.D, 1)),
        k(random_floats(c.shape.B * c.shape.S * c.shape.G * c.shape.D, 2)),
        v(random_floats(c.shape.B * c.shape.S * c.shape.G * c.shape.Dv, 3)),
        grad_output(random_floats(c.shape.B * c.shape.L * c.shape.H * c.shape.Dv, 4)),
        grad_weights(random_floats(c.grad_weights ? c.shape.B * c.shape.H * c.shape.L * c.shape.S : 0, 5, 0.5f)),
        bias(random_floats(c.shape.B * c.shape.L * c.shape.S, 6, 2.0f)),
        bytes(c.shape.H * c.shape.L * c.shape.S) {
    std::mt19937 generator(7);
    for (auto& byte : bytes) byte = generator() % 3 == 0 ? 0 : 200;
    for (auto& value : bias) value = generator() % 4 == 0 ? -kInf : value;
    if (bytes.size() >= c.shape.S) std::fill_n(bytes.begin(), c.shape.S, 0);  // a fully masked row
  }
};

template <class Float>
HeadView<Float> view(const Case& c, Float* data, std::size_t heads, std::size_t length, std::size_t width) {
  return c.heads_in_rows ? HeadView<Float>::heads_in_rows(data, heads, length, width)
                         : HeadView<Float>::heads_first(data, heads, length, width);
}

AttentionArgs args_of(const Case& c, const Inputs& in) {
  const AttentionShape& s = c.shape;
  const std::size_t M = c.mask_columns == 0 ? s.S : c.mask_columns;
  AttentionArgs args{};
  args.shape = s;
  args.query = view<const float>(c, in.q.data(), s.H, s.L, s.D);
  args.key = view<const float>(c, in.k.data(), s.G, s.S, s.D);
  args.value = view<const float>(c, in.v.data(), s.G, s.S, s.Dv);
  args.visibility.causal = c.causal;
  args.visibility.window = c.window;
  args.visibility.offsets = c.offsets.empty() ? nullptr : c.offsets.data();
  args.visibility.key_lengths = c.key_lengths.empty() ? nullptr : c.key_lengths.data();
  if (c.integer_mask) args.visibility.mask = Mask(MaskType::kUint8, in.bytes.data(), {1, s.H, s.L, M});
  if (c.float_mask) args.visibility.mask = Mask(MaskType::kFloat, in.bias.data(), {s.B, 1, s.L, M});
  if (!c.kv_heads.empty()) args.kv_heads.table = c.kv_heads.data();
  args.scale = c.scale;
  args.softcap = c.softcap;
  args.slopes = c.slopes.empty() ? nullptr : c.slopes.data();
  args.dropout = c.dropout;
  return args;
}

struct Result {
  Floats output, q, k, v;
};

Result run(const Case& c, const Inputs& in, std::size_t threads) {
  const AttentionShape& s = c.shape;
  Result result{Floats(in.grad_output.size(), kNaN), Floats(in.q.size(), kNaN), Floats(in.k.size(), kNaN),
                Floats(in.v.size(), kNaN)};
  AttentionArgs args = args_of(c, in);
  args.output = view<float>(c, result.output.data(), s.H, s.L, s.Dv);
  Context context;
  start(context, threads);
  REQUIRE(attention(args, context) == Status::kOk);
  args.output.data = nullptr;
  Arena counted;
  take_attention_backward_scratch(s, threads, counted);
  REQUIRE(context.arena.reserve(counted.used()) == Status::kOk);
  attention_backward(args,
                     {.output = view<const float>(c, in.grad_output.data(), s.H, s.L, s.Dv),
                      .weights = c.grad_weights ? in.grad_weights.data() : nullptr,
                      .query = view<float>(c, result.q.data(), s.H, s.L, s.D),
                      .key = view<float>(c, result.k.data(), s.G, s.S, s.D),
                      .value = view<float>(c, result.v.data(), s.G, s.S, s.Dv)},
                     take_attention_backward_scratch(s, threads, context.arena), context);
  check_room(context.arena);
  return result;
}

template <class T>
Doubles head_of(const Case& c, const std::vector<T>& x, std::size_t heads, std::size_t b, std::size_t h,
                std::size_t length, std::size_t width) {
  Doubles rows(length * width);
  const auto from = view<const T>(c, x.data(), heads, length, width);
  for (std::size_t i = 0; i < length; ++i) std::copy_n(from.at(b, h, i), width, rows.begin() + i * width);
  return rows;
}

// Calls fn(oracle, b, h, g) for each head.
template <class Fn>
void for_each_head(const Case& c, const Inputs& in, const Fn& fn) {
  const AttentionShape& s = c.shape;
  const std::size_t M = c.mask_columns == 0 ? s.S : c.mask_columns;
  for (std::size_t b = 0; b < s.B; ++b) {
    for (std::size_t h = 0; h < s.H; ++h) {
      const std::int64_t offset = c.offsets.empty() ? 0 : c.offsets[b];
      const auto distance = [=](std::size_t i, std::size_t j) {
        return static_cast<std::int64_t>(i) + offset - static_cast<std::int64_t>(j);
      };
      const auto mask = [=, &c, &in](std::size_t i, std::size_t j) {
        return c.float_mask ? in.bias[(b * c.shape.L + i) * M + j] : 0.0f;
      };
      const auto bias = [=, &c](std::size_t i, std::size_t j) {
        return mask(i, j) - (c.slopes.empty() ? 0.0 : double{c.slopes[h]} * std::abs(double(distance(i, j))));
      };
      const auto visible = [=, &c, &in](std::size_t i, std::size_t j) {
        if (c.causal && distance(i, j) < 0) return false;
        if (distance(i, j) > c.window.left || -distance(i, j) > c.window.right) return false;
        if (!c.key_lengths.empty() && static_cast<std::int32_t>(j) >= c.key_lengths[b]) return false;
        if ((c.float_mask || c.integer_mask) && j >= M) return false;
        if (c.integer_mask && in.bytes[(h * c.shape.L + i) * M + j] == 0) return false;
        return mask(i, j) != -kInf;
      };
      const auto factor = [=, &c](std::size_t i, std::size_t j) { return dropout_factor(c.dropout, b, h, i, j); };
      const HeadOracle oracle{
          s.L, s.S, s.D, s.Dv, double{c.scale}, double{c.softcap}, visible, bias, factor,
      };
      fn(oracle, b, h, c.kv_heads.empty() ? h / (s.H / s.G) : c.kv_heads[h]);
    }
  }
}

Doubles grad_weights_of(const Case& c, const Inputs& in, std::size_t b, std::size_t h) {
  if (!c.grad_weights) return {};
  const std::size_t count = c.shape.L * c.shape.S;
  const auto first = in.grad_weights.begin() + (b * c.shape.H + h) * count;
  return Doubles(first, first + count);
}

void check(const Case& c) {
  const AttentionShape& s = c.shape;
  INFO("B " << s.B << " H " << s.H << " G " << s.G << " L " << s.L << " S " << s.S << " D " << s.D << " Dv " << s.Dv);
  const Inputs in(c);
  const Result result = run(c, in, 1);
  Doubles grad_k(in.k.size()), grad_v(in.v.size());
  const auto add = [&](Doubles& to, std::size_t heads, std::size_t b, std::size_t g, const Doubles& rows,
                       std::size_t width) {
    const auto at = view<double>(c, to.data(), heads, s.S, width);
    for (std::size_t j = 0; j < s.S; ++j) {
      for (std::size_t n = 0; n < width; ++n) at.at(b, g, j)[n] += rows[j * width + n];
    }
  };
  Doubles grad_q(in.q.size()), output(in.grad_output.size());
  for_each_head(c, in, [&](const auto& oracle, std::size_t b, std::size_t h, std::size_t g) {
    const Doubles q = head_of(c, in.q, s.H, b, h, s.L, s.D), k = head_of(c, in.k, s.G, b, g, s.S, s.D);
    const Doubles v = head_of(c, in.v, s.G, b, g, s.S, s.Dv);
    const auto grad =
        oracle.backward(q, k, v, head_of(c, in.grad_output, s.H, b, h, s.L, s.Dv), grad_weights_of(c, in, b, h));
    add(grad_k, s.G, b, g, grad.k, s.D);
    add(grad_v, s.G, b, g, grad.v, s.Dv);
    const Doubles out = oracle.forward(q, k, v).second;
    const auto to_q = view<double>(c, grad_q.data(), s.H, s.L, s.D);
    const auto to_output = view<double>(c, output.data(), s.H, s.L, s.Dv);
    for (std::size_t i = 0; i < s.L; ++i) {
      std::copy_n(grad.q.begin() + i * s.D, s.D, to_q.at(b, h, i));
      std::copy_n(out.begin() + i * s.Dv, s.Dv, to_output.at(b, h, i));
    }
  });
  check_gradient(result.output.data(), output);
  check_gradient(result.q.data(), grad_q);
  check_gradient(result.k.data(), grad_k);
  check_gradient(result.v.data(), grad_v);
  for (const std::size_t threads : {1, 2, 4}) {
    if (threads > 1 && !kHasThreads) continue;
    const auto again = [&] { return run(c, in, threads); };
    const Result same = threads == 1 ? with_small_tiles(again) : again();
    CHECK(same.output == result.output);
    CHECK(same.q == result.q);
    CHECK(same.k == result.k);
    CHECK(same.v == result.v);
  }
}

std::vector<Case> cases() {
  const Dropout dropout{0.3f, 12345};
  return {
      {.shape = {1, 1, 1, 1, 1, 1, 1}},
      {.shape = {1, 1, 1, 2, 9, 5, 3}, .grad_weights = true},
      {.shape = {2, 3, 3, 17, 13, 15, 17}},
      {.shape = {2, 3, 3, 17, 13, 15, 17}, .grad_weights = true, .heads_in_rows = false},
      {.shape = {2, 2, 2, 33, 33, 8, 8}, .causal = true},
      {.shape = {1, 2, 2, 128, 128, 16, 16}, .causal = true, .grad_weights = true},
      {.shape = {2, 2, 1, 20, 31, 8, 12}, .causal = true, .offsets = {11, -5}},
      {.shape = {2, 4, 2, 61, 50, 7, 5}, .causal = true, .window = {4, Window::kOpen}, .offsets = {3, -2}},
      {.shape = {1, 2, 2, 70, 90, 8, 8}, .window = {5, 3}},
      {.shape = {3, 2, 2, 9, 24, 6, 8}, .key_lengths = {24, 7, 0}},
      {.shape = {2, 3, 1, 19, 22, 10, 9}, .integer_mask = true},
      {.shape = {2, 3, 1, 19, 22, 10, 9}, .integer_mask = true, .mask_columns = 13, .grad_weights = true},
      {.shape = {2, 2, 2, 11, 16, 8, 8}, .float_mask = true, .dropout = dropout},
      {.shape = {2, 2, 2, 50, 40, 8, 8}, .causal = true, .float_mask = true},
      {.shape = {1, 6, 3, 13, 15, 4, 20}, .softcap = 0.7f, .dropout = dropout},
      {.shape = {1, 5, 3, 13, 15, 4, 20}, .kv_heads = {0, 0, 0, 1, 2}, .softcap = 3.0f},
      {.shape = {2, 2, 2, 15, 18, 8, 8}, .slopes = {0.5f, 0.0625f}},
      {.shape = {2, 2, 1, 25, 18, 8, 8},
       .causal = true,
       .offsets = {2, 4},
       .slopes = {0.5f, 0.25f},
       .dropout = dropout},
      {.shape = {2, 4, 4, 30, 30, 16, 16}, .dropout = {0.9f, 7}, .grad_weights = true},
      {.shape = {2, 4, 2, 3, 30, 16, 16}, .dropout = {0.5f, 0xffffffffu}, .grad_weights = true},
      {.shape = {2, 4, 2, 7, 1, 3, 3}},
      {.shape = {1, 2, 2, 5, 0, 3, 3}},
      {.shape = {1, 2, 2, 0, 5, 3, 3}},
      {.shape = {0, 2, 2, 3, 5, 3, 3}},
      {.shape = {1, 0, 0, 3, 5, 3, 3}},
      {.shape = {1, 2, 2, 100, 260, 24, 40}, .window = {30, 10}, .key_lengths = {250}, .softcap = 5.0f, .scale = 1.0f},
      {.shape = {1, 1, 1, 50, 50, 33, 31}, .scale = 0.0f},
  };
}

TEST_CASE("the oracle's gradients are the slopes of its loss") {
  for (Case c : cases()) {
    const AttentionShape& s = c.shape;
    if (s.L * s.S * s.D > 5000) continue;
    const Inputs in(c);
    for_each_head(c, in, [&](const auto& oracle, std::size_t b, std::size_t h, std::size_t g) {
      Doubles q = head_of(c, in.q, s.H, b, h, s.L, s.D), k = head_of(c, in.k, s.G, b, g, s.S, s.D);
      Doubles v = head_of(c, in.v, s.G, b, g, s.S, s.Dv);
      const Doubles grad_output = head_of(c, in.grad_output, s.H, b, h, s.L, s.Dv);
      const Doubles grad_weights = grad_weights_of(c, in, b, h);
      const auto grad = oracle.backward(q, k, v, grad_output, grad_weights);
      const auto loss = [&] { return oracle.loss(q, k, v, grad_output, grad_weights); };
      check_differences(grad.q, central_differences(q, loss));
      check_differences(grad.k, central_differences(k, loss));
      check_differences(grad.v, central_differences(v, loss));
    });
  }
}

TEST_CASE("attention's gradients agree with the double reference, on any number of threads") {
  for (const Case& c : cases()) check(c);
}

TEST_CASE("what is masked or has no gradient may hold anything") {
  for (const bool grad_weights : {false, true}) {
    Case c{
        .shape = {2, 2, 1, 20, 22, 9, 10}, .key_lengths = {15, 22}, .dropout = {0.2f, 3}, .grad_weights = grad_weights};
    Inputs in(c);
    const auto query = view<float>(c, in.q.data(), 2, 20, 9);
    const auto grad_output = view<float>(c, in.grad_output.data(), 2, 20, 10);
    for (std::size_t h = 0; h < 2; ++h) {
      for (const std::size_t i : {0, 7, 19}) {
        std::fill_n(grad_output.at(1, h, i), 10, 0.0f);
        if (grad_weights) std::fill_n(in.grad_weights.begin() + ((2 + h) * 20 + i) * 22, 22, 0.0f);
      }
    }
    const Result clean = run(c, in, 1);
    std::fill_n(view<float>(c, in.k.data(), 1, 22, 9).at(0, 0, 15), 7 * 9, kNaN);
    std::fill_n(view<float>(c, in.v.data(), 1, 22, 10).at(0, 0, 15), 7 * 10, kInf);
    for (std::size_t h = 0; h < 2; ++h) {
      for (const std::size_t i : {0, 7, 19}) query.at(1, h, i)[4] = kNaN;
    }
    const Result spoiled = run(c, in, 1);
    CHECK(spoiled.q == clean.q);
    CHECK(spoiled.k == clean.k);
    CHECK(spoiled.v == clean.v);
  }
}

TEST_CASE("scores beyond 2.36e38 have gradients") {
  for (const std::size_t L : {1, 7}) {
    Case c{.shape = {1, 1, 1, L, 2, 1, 2}, .scale = 1.0f};
    Inputs in(c);
    std::fill(in.q.begin(), in.q.end(), 3e38f);
    in.k = {1.0f, 1.0f};
    const Result result = run(c, in, 1);
    for (std::size_t i = 0; i < L; ++i) {  // both weights are 1 / 2
      for (std::size_t n = 0; n < 2; ++n)
        CHECK(result.output[2 * i + n] == doctest::Approx((in.v[n] + in.v[2 + n]) / 2));
      CHECK(result.q[i] == doctest::Approx(0.0));
    }
    for (std::size_t n = 0; n < 2; ++n) {
      double sum = 0;
      for (std::size_t i = 0; i < L; ++i) sum += in.grad_output[2 * i + n] / 2;
      CHECK(result.v[n] == doctest::Approx(sum));
      CHECK(result.v[2 + n] == doctest::Approx(sum));
    }
  }
}

TEST_CASE("dropout leaves out its share of the weights, others for each seed, batch row, head and query") {
  const std::size_t columns = 4096;
  const auto mask = [&](const Dropout& dropout, std::size_t b, std::size_t h, std::size_t i) {
    Floats row(columns, 1.0f);
    DropoutRow(dropout, b, h, i).apply(row.data(), 0, columns, dropout.scale());
    return row;
  };
  for (const float rate : {0.0f, 0.1f, 0.5f, 0.9f}) {
    const Floats row = mask({rate, 1}, 2, 3, 4);
    const double share = static_cast<double>(std::count(row.begin(), row.end(), 0.0f)) / columns;
    CHECK(std::abs(share - rate) <= 5 * std::sqrt(rate * (1 - rate) / columns));
    for (std::size_t j = 0; j < columns; ++j) {
      CHECK(row[j] == doctest::Approx(dropout_factor({rate, 1}, 2, 3, 4, j)));
    }
    Floats tail(columns, 1.0f);  // the same wherever it starts
    DropoutRow({rate, 1}, 2, 3, 4).apply(tail.data(), 1000, columns, Dropout{rate, 1}.scale());
    CHECK(std::equal(tail.begin() + 1000, tail.end(), row.begin() + 1000));
  }
  const Floats row = mask({0.5f, 1}, 2, 3, 4);
  for (const Floats& other : {mask({0.5f, 2}, 2, 3, 4), mask({0.5f, 1}, 1, 3, 4), mask({0.5f, 1}, 2, 2, 4),
                              mask({0.5f, 1}, 2, 3, 5), mask({0.5f, 1}, 3, 2, 4)}) {
    std::size_t same = 0;
    for (std::size_t j = 0; j < columns; ++j) same += row[j] == other[j];
    CHECK(std::abs(static_cast<double>(same) / columns - 0.5) < 0.05);
  }
}

}  // namespace
}  // namespace headwise::test
