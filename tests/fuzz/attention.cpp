// libFuzzer target: attention with shapes, options and data from bytes. It must not trip a sanitizer; on finite data it
// must agree with the double reference, and one thread with two.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../cpp/reference.hpp"
#include "headwise.hpp"

namespace headwise::test {
namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::abort();
}

struct Case {
  AttentionShape shape;
  bool heads_in_rows, special;  // special: NaN, infinities and extremes among the data
  Floats q, k, v, gates, slopes;
  bool causal;
  Window window;
  std::vector<std::int32_t> offsets, key_lengths;
  MaskType mask_type;
  std::array<std::size_t, 4> mask_extents;
  Floats bias;                      // the mask as floats
  std::vector<std::uint8_t> bytes;  // or as bytes
  float scale, softcap;
  WeightsStage stage;
};

Floats floats(FuzzedDataProvider& data, std::size_t count, bool special) {
  constexpr float kSpecial[] = {0.0f, -0.0f, kInf, -kInf, kNaN, 1e-42f, 3e38f, -3.4028235e38f, 1e19f};
  Floats values = random_floats(count, data.ConsumeIntegral<std::uint32_t>());
  values.reserve(1);  // callers' memory is never null, not even where it is empty
  for (std::size_t n = special ? data.ConsumeIntegralInRange<std::size_t>(0, 8) : 0; n > 0 && count > 0; --n) {
    values[data.ConsumeIntegralInRange<std::size_t>(0, count - 1)] = data.PickValueInArray(kSpecial);
  }
  return values;
}

Case consume(FuzzedDataProvider& data) {
  const auto up_to = [&](std::size_t least, std::size_t most) {
    return data.ConsumeIntegralInRange<std::size_t>(least, most);
  };
  Case c;
  AttentionShape& s = c.shape;
  s.B = up_to(0, 3), s.G = up_to(0, 3), s.L = up_to(0, 20), s.S = up_to(0, 40), s.D = up_to(1, 20), s.Dv = up_to(1, 20);
  s.H = s.G * up_to(1, 3);
  c.heads_in_rows = data.ConsumeBool();
  c.special = data.ConsumeBool();
  c.q = floats(data, s.B * s.H * s.L * s.D, c.special);
  c.k = floats(data, s.B * s.G * s.S * s.D, c.special);
  c.v = floats(data, s.B * s.G * s.S * s.Dv, c.special);
  if (data.ConsumeBool()) c.gates = floats(data, s.H, false);
  if (data.ConsumeBool()) c.slopes = floats(data, s.H, false);
  if (!c.gates.empty() && data.ConsumeBool()) c.gates[0] = 0.0f;
  c.causal = data.ConsumeBool();
  if (data.ConsumeBool()) c.window.left = data.ConsumeIntegralInRange<std::int32_t>(0, 50);
  if (data.ConsumeBool()) c.window.right = data.ConsumeIntegralInRange<std::int32_t>(0, 50);
  if (data.ConsumeBool()) {
    for (std::size_t b = 0; b < s.B; ++b) c.offsets.push_back(data.ConsumeIntegralInRange<std::int32_t>(-60, 60));
  }
  if (data.ConsumeBool()) {
    for (std::size_t b = 0; b < s.B; ++b) c.key_lengths.push_back(static_cast<std::int32_t>(up_to(0, s.S)));
  }
  c.mask_type = data.PickValueInArray({MaskType::kNone, MaskType::kFloat, MaskType::kUint8});
  c.mask_extents = {data.ConsumeBool() ? s.B : 1, data.ConsumeBool() ? s.H : 1, data.ConsumeBool() ? s.L : 1,
                    data.ConsumeBool() ? up_to(std::min<std::size_t>(s.S, 2), s.S) : 1};
  const std::size_t count = c.mask_extents[0] * c.mask_extents[1] * c.mask_extents[2] * c.mask_extents[3];
  c.bias = floats(data, count, false);
  for (float& bias : c.bias) bias = bias > 0.5f ? -kInf : bias;
  for (const float bias : c.bias) c.bytes.push_back(bias == -kInf ? 0 : 1);
  c.scale = data.ConsumeFloatingPointInRange<float>(0.0f, 2.0f);
  c.softcap = data.ConsumeBool() ? data.ConsumeFloatingPointInRange<float>(0.1f, 50.0f) : 0.0f;
  c.stage = static_cast<WeightsStage>(up_to(0, 3));
  return c;
}

struct Result {
  Floats output, weights;
};

template <class Float>
HeadView<Float> view(const Case& c, Float* data, std::size_t heads, std::size_t length, std::size_t width) {
  return c.heads_in_rows ? HeadView<Float>::heads_in_rows(data, heads, length, width)
                         : HeadView<Float>::heads_first(data, heads, length, width);
}

Result run(const Case& c, std::size_t threads) {
  const AttentionShape& s = c.shape;
  Result result{Floats(s.B * s.H * s.L * s.Dv, 7.0f), Floats(s.B * s.H * s.L * s.S, 7.0f)};
  result.output.reserve(1), result.weights.reserve(1);
  AttentionArgs args;
  args.shape = s;
  args.query = view(c, c.q.data(), s.H, s.L, s.D);
  args.key = view(c, c.k.data(), s.G, s.S, s.D);
  args.value = view(c, c.v.data(), s.G, s.S, s.Dv);
  args.output = view(c, result.output.data(), s.H, s.L, s.Dv);
  args.weights = result.weights.data();
  args.stage = c.stage;
  const void* mask = c.mask_type == MaskType::kFloat ? static_cast<const void*>(c.bias.data()) : c.bytes.data();
  args.visibility = {.mask = Mask(c.mask_type, mask, c.mask_extents),
                     .causal = c.causal,
                     .window = c.window,
                     .offsets = c.offsets.empty() ? nullptr : c.offsets.data(),
                     .key_lengths = c.key_lengths.empty() ? nullptr : c.key_lengths.data()};
  args.scale = c.scale;
  args.softcap = c.softcap;
  args.slopes = c.slopes.empty() ? nullptr : c.slopes.data();
  args.gates = c.gates.empty() ? nullptr : c.gates.data();
  Context context;
  expect(context.pool.start(threads) == Status::kOk, "the pool starts");
  expect(attention(args, context) == Status::kOk, "there is room");
  return result;
}

template <class T>
Floats head_rows(const Case& c, const std::vector<T>& x, std::size_t heads, std::size_t b, std::size_t h,
                 std::size_t length, std::size_t width) {
  Floats rows(length * width);
  const auto from = view(c, x.data(), heads, length, width);
  for (std::size_t i = 0; i < length; ++i) std::copy_n(from.at(b, h, i), width, rows.begin() + i * width);
  return rows;
}

// By the rule of all comparisons. `score`: the largest; no float holds it better than to 2^-24 of itself, and its
// probability inherits that, while the naive sum may be exact by chance (ALiBi's multiples of a slope, a scale of 0).
void expect_close(const float* ours, const std::vector<double>& exact, const std::vector<float>& naive, double score,
                  const char* what) {
  double error = 0, naive_error = 0, largest = 1;
  for (std::size_t n = 0; n < exact.size(); ++n) {
    if (std::isinf(exact[n])) {
      expect(ours[n] == exact[n], what);
      continue;
    }
    expect(!std::isnan(ours[n]), what);
    error = std::max(error, std::abs(ours[n] - exact[n]));
    naive_error = std::max(naive_error, std::abs(naive[n] - exact[n]));
    largest = std::max(largest, std::abs(exact[n]));
  }
  const double allowed = 2 * naive_error + 1e-6 * largest + 0x1p-23 * score;
  if (!(error <= allowed)) std::fprintf(stderr, "error %g, allowed %g\n", error, allowed);
  expect(error <= allowed, what);
}

void compare(const Case& c, const Result& result) {
  const AttentionShape& s = c.shape;
  for (std::size_t b = 0; b < s.B; ++b) {
    for (std::size_t h = 0; h < s.H; ++h) {
      const std::size_t g = h * s.G / s.H;
      const std::int64_t offset = c.offsets.empty() ? 0 : c.offsets[b];
      const auto distance = [&](std::size_t i, std::size_t j) {
        return static_cast<std::int64_t>(i) + offset - static_cast<std::int64_t>(j);
      };
      const auto mask = [&](std::size_t i, std::size_t j) {
        if (c.mask_type == MaskType::kNone) return 0.0f;
        const std::size_t index[] = {b, h, i, j};
        std::size_t at = 0;
        for (std::size_t axis = 0; axis < 4; ++axis) {
          at = at * c.mask_extents[axis] + (c.mask_extents[axis] == 1 ? 0 : index[axis]);
        }
        if (c.mask_extents[3] != 1 && j >= c.mask_extents[3]) return -kInf;
        return c.mask_type == MaskType::kFloat ? c.bias[at] : c.bytes[at] == 0 ? -kInf : 0.0f;
      };
      const auto bias = [&](std::size_t i, std::size_t j) {
        return mask(i, j) - (c.slopes.empty() ? 0.0f : c.slopes[h] * static_cast<float>(std::abs(distance(i, j))));
      };
      const auto visible = [&](std::size_t i, std::size_t j) {
        if (c.causal && distance(i, j) < 0) return false;
        if (distance(i, j) > c.window.left || -distance(i, j) > c.window.right) return false;
        if (!c.key_lengths.empty() && static_cast<std::int32_t>(j) >= c.key_lengths[b]) return false;
        return mask(i, j) != -kInf;
      };
      const Floats q = head_rows(c, c.q, s.H, b, h, s.L, s.D), k = head_rows(c, c.k, s.G, b, g, s.S, s.D);
      const Floats v = head_rows(c, c.v, s.G, b, g, s.S, s.Dv);
      const auto naive_with = [&](auto scale, auto softcap) {
        return naive_head(q, k, v, s.L, s.S, s.D, s.Dv, scale, visible, bias, softcap);
      };
      auto exact = naive_with(static_cast<double>(c.scale), static_cast<double>(c.softcap));
      auto naive = naive_with(c.scale, c.softcap);
      if (!c.gates.empty()) {
        for (auto& value : exact.output) value *= static_cast<double>(c.gates[h]);
        for (auto& value : naive.output) value *= c.gates[h];
      }
      const auto stage = [&](const auto& head) -> const auto& {
        return c.stage == WeightsStage::kScores   ? head.scores
               : c.stage == WeightsStage::kCapped ? head.capped
               : c.stage == WeightsStage::kMasked ? head.masked
                                                  : head.weights;
      };
      double score = 0;
      for (const double x : exact.masked) score = std::isinf(x) ? score : std::max(score, std::abs(x));
      expect_close(head_rows(c, result.output, s.H, b, h, s.L, s.Dv).data(), exact.output, naive.output, score,
                   "the output");
      expect_close(result.weights.data() + (b * s.H + h) * s.L * s.S, stage(exact), stage(naive), score, "the weights");
    }
  }
}

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace
}  // namespace headwise::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace headwise::test;
  FuzzedDataProvider data(bytes, size);
  const Case c = consume(data);
  const Result one = run(c, 1);
  if (!c.special) compare(c, one);
  const Result two = run(c, 2);
  expect(same_bits(one.output, two.output) && same_bits(one.weights, two.weights), "two threads compute what one does");
  return 0;
}
