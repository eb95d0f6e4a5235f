// A case of attention: its options and inputs, a run of the core, and the comparison with the double reference.
#pragma once

#include <utility>

#include "attention/scaled_dot_product.hpp"
#include "support.hpp"

namespace headwise::test {

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

inline std::size_t mask_columns(const Case& c) { return c.mask_columns == 0 ? c.shape.S : c.mask_columns; }

struct Result {
  Floats output, weights;
};

inline Result run(const Case& c, const Inputs& in, std::size_t threads, bool weights,
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

inline Floats head_rows(const Case& c, const Floats& x, std::size_t heads, std::size_t b, std::size_t h,
                        std::size_t length, std::size_t width) {
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

// Results of a case, each with the stage of its weights: the reference is computed once for all of them.
using Results = std::vector<std::pair<WeightsStage, Result>>;

inline void check_against_reference(const Case& c, const Inputs& in, const Results& results) {
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
      for (const auto& [stage, result] : results) {
        check_close(head_rows(c, result.output, s.H, b, h, s.L, s.Dv).data(), exact.output, naive.output);
        check_close(result.weights.data() + (b * s.H + h) * s.L * s.S, weights_at(exact, stage),
                    weights_at(naive, stage));
      }
    }
  }
}

inline void check(const Case& c) {
  INFO("B " << c.shape.B << " H " << c.shape.H << " G " << c.shape.G << " L " << c.shape.L << " S " << c.shape.S
            << " D " << c.shape.D << " Dv " << c.shape.Dv << " causal " << c.causal << " window " << c.window.left
            << " " << c.window.right << " offset " << (c.offsets.empty() ? 0 : c.offsets[0]) << " bytes "
            << c.integer_mask << " floats " << c.float_mask << " columns " << c.mask_columns << " in rows "
            << c.heads_in_rows << " softcap " << c.softcap << " ALiBi " << !c.slopes.empty());
  const Inputs in(c.shape);
  Results results;
  for (const auto stage :
       {WeightsStage::kProbabilities, WeightsStage::kScores, WeightsStage::kCapped, WeightsStage::kMasked}) {
    results.emplace_back(stage, run(c, in, 1, true, stage));
  }
  check_against_reference(c, in, results);
  const Result& one = results.front().second;
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

}  // namespace headwise::test
