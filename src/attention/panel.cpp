// The steps of a panel, in their order. At most 6 rows of the L x S scores exist at a time, in cache. Two passes over a
// panel without online rescaling were at least as fast as every online tiling that we tried, up to S = 2,048.
#include "attention/panel.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/rows.hpp"
#include "kernels/softmax.hpp"
#include "kernels/vectors.hpp"

namespace headwise {
namespace {

constexpr float kLog2E = 1.44269504088896340736f;
// Keys that the rows of a panel read one row after the other. With 64, a decoding step takes 6 % longer.
constexpr std::size_t kKeysPerBlock = 16;

// Scores are in base 2 (times log2 e) from the start. If they are returned or capped, they are in base e.
bool natural_base(const AttentionArgs& args) noexcept {
  return args.softcap > 0.0f || (args.weights != nullptr && args.stage != WeightsStage::kProbabilities);
}
float score_unit(const AttentionArgs& args) noexcept { return natural_base(args) ? 1.0f : kLog2E; }
bool scores_all_keys(const AttentionArgs& args) noexcept {
  return args.weights != nullptr && (args.stage == WeightsStage::kScores || args.stage == WeightsStage::kCapped);
}

// scores[r][j] = scale * q[r] . k[j]   "id,jd->ij"
template <std::size_t kRows>
void score_packed(const AttentionArgs& args, const Panel& panel, float* scores, std::size_t row) noexcept {
  const std::size_t D = args.shape.D;
  const float* query_row_bhi = args.query.at(panel.b, panel.h[0], panel.i[0]);
  const float* keys = panel.packed->keys + (panel.columns.begin - panel.packed->range.begin) * D;
  for (std::size_t j = panel.columns.begin; j < panel.columns.end; j += simd::kTile, keys += simd::kTile * D) {
    Tile<kRows> tile;
    tile.fill(0.0f);
    tile.multiply_add(query_row_bhi, args.query.row, keys, D);
    tile.store(scores + j, row);
  }
}

// Calls fn(row of the panel, its head's rows of `view` from key j on, j, number of keys) for a few keys at a time.
// If the heads' keys are adjacent in memory or the same, all rows of the panel read a block of keys before the next
// block. Heads that are apart (in a cache) are read one after the other, which makes a decode step with 1,024 to 4,096
// keys from memory 1.5 to 2 times as fast.
template <class Fn>
void for_each_key_block(const AttentionArgs& args, const HeadView<const float>& view, const Panel& panel,
                        const Fn& fn) noexcept {
  const auto [begin, end] = panel.columns;
  const bool apart = view.head > view.row;
  const float* head[kTileRows];
  for (std::size_t r = 0; r < panel.rows; ++r) head[r] = view.at(panel.b, args.kv_heads.of(panel.h[r], args.shape), 0);
  for (std::size_t first = 0, last = 0; first < panel.rows; first = last) {
    while (last < panel.rows && (!apart || head[last] == head[first])) ++last;
    for (std::size_t j = begin; j < end; j += kKeysPerBlock) {
      const std::size_t keys = std::min(kKeysPerBlock, end - j);
      for (std::size_t r = first; r < last; ++r) fn(r, head[r] + j * view.row, j, keys);
    }
  }
}

void score_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch) noexcept {
  if (panel.packed != nullptr) {
    return with_constant_rows<kLeastPackedRows>(
        panel.rows, [&](auto kRows) { score_packed<kRows>(args, panel, scratch.scores, scratch.row); });
  }
  const float scale = key_scale(args);
  for_each_key_block(args, args.key, panel, [&](std::size_t r, const float* keys, std::size_t j, std::size_t count) {
    dot_rows(args.query.at(panel.b, panel.h[r], panel.i[r]), keys, args.key.row, count, args.shape.D, scale,
             scratch.scores + r * scratch.row + j);
  });
}

void cap_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch) noexcept {
  for (std::size_t r = 0; r < panel.rows; ++r) {
    float* row = scratch.scores + r * scratch.row;
    for (std::size_t j = panel.columns.begin; j < panel.padded_end(); j += simd::kLanes) {
      simd::store(row + j, simd::softcap(simd::load(row + j), args.softcap));
    }
    if (scratch.cap_slopes == nullptr) continue;
    float* slopes = scratch.cap_slopes + r * scratch.row;  // 1 - tanh^2
    for (std::size_t j = panel.columns.begin; j < panel.padded_end(); j += simd::kLanes) {
      const simd::Vec tanh = simd::load(row + j) / simd::splat(args.softcap);
      simd::store(slopes + j, simd::splat(1.0f) - tanh * tanh);
    }
  }
}

// row[j] -= slope * |position - j|, for columns of whole vectors
void add_alibi(float* row, Keys columns, std::int64_t position, float slope) noexcept {
  for (std::size_t j = columns.begin; j < columns.end; j += simd::kLanes) {
    const simd::Vec distance = simd::abs(simd::iota(static_cast<float>(static_cast<std::int64_t>(j) - position)));
    simd::store(row + j, simd::fma(simd::splat(-slope), distance, simd::load(row + j)));
  }
}

// row[j] = -inf if bias[j] is -inf (for any score, so NaN in masked keys has no effect), otherwise row[j] + bias[j] *
// unit.
void add_bias(float* row, const float* bias, Keys columns, float unit) noexcept {
  const simd::Vec minus_infinity = simd::splat(kNegativeInfinity);
  const simd::Vec factor = simd::splat(unit);
  std::size_t j = columns.begin;
  for (; j + simd::kLanes <= columns.end; j += simd::kLanes) {
    const simd::Vec b = simd::load(bias + j);
    const simd::Vec sum = simd::fma(b, factor, simd::load(row + j));
    simd::store(row + j, simd::select(b == minus_infinity, minus_infinity, sum));
  }
  for (; j < columns.end; ++j) {
    row[j] = bias[j] == kNegativeInfinity ? kNegativeInfinity : row[j] + bias[j] * unit;
  }
}

// Adds ALiBi and the mask to row r, and sets the columns that it may not see, up to the end of the last tile, to -inf.
// bias: the row of the mask, or null; unit: of the scores
void mask_row(const AttentionArgs& args, const Panel& panel, std::size_t r, const float* bias, float unit,
              float* row) noexcept {
  const std::size_t i = panel.i[r];
  if (args.slopes != nullptr) {
    add_alibi(row, {panel.columns.begin, panel.padded_end()},
              static_cast<std::int64_t>(i) + args.visibility.offset(panel.b), args.slopes[panel.h[r]] * unit);
  }
  const Keys seen{panel.range.begin(i), panel.range.end(i)};
  simd::fill(row + panel.columns.begin, seen.begin - panel.columns.begin, kNegativeInfinity);
  simd::fill(row + seen.end, panel.padded_end() - seen.end, kNegativeInfinity);
  if (bias != nullptr) add_bias(row, bias, seen, unit);
}

const float* bias_row(const AttentionArgs& args, const Panel& panel, std::size_t r, float* scratch) noexcept {
  return args.visibility.bias_row(panel.b, panel.h[r], panel.i[r], panel.columns.begin, panel.columns.end, scratch);
}

void mask_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch) noexcept {
  const float unit = score_unit(args);
  const float* bias = nullptr;
  for (std::size_t r = 0; r < panel.rows; ++r) {
    if (r == 0 || panel.h[r] != panel.h[r - 1] || !args.visibility.mask.same_for_all_queries()) {
      bias = bias_row(args, panel, r, scratch.bias);
    }
    mask_row(args, panel, r, bias, unit, scratch.scores + r * scratch.row);
  }
}

// Scores in base e become unnormalised probabilities. Returns their sum. The maximum is subtracted before the
// multiplication by log2 e, which would make large scores overflow.   row: [columns]
float softmax_natural(float* row, std::size_t columns, float maximum, const simd::Exp2& exp2) noexcept {
  subtract_and_multiply_row(row, columns, maximum, kLog2E);
  return row_exp2(row, columns, 0.0f, exp2);
}

// Computes row r again with scores in base e. In base 2, scores from 2.36e38 on overflow, and so do masks with the
// lowest float. Rare.
[[gnu::cold, gnu::noinline]] float softmax_row_again(const AttentionArgs& args, const Panel& panel, std::size_t r,
                                                     const PanelScratch& scratch, const simd::Exp2& exp2) noexcept {
  const auto [begin, end] = panel.columns;
  float* row = scratch.scores + r * scratch.row;
  const std::size_t g = args.kv_heads.of(panel.h[r], args.shape), columns = panel.padded_end() - begin;
  dot_rows(args.query.at(panel.b, panel.h[r], panel.i[r]), args.key.at(panel.b, g, begin), args.key.row, end - begin,
           args.shape.D, args.scale, row + begin);
  mask_row(args, panel, r, bias_row(args, panel, r, scratch.bias), 1.0f, row);
  return softmax_natural(row + begin, columns, row_maximum(row + begin, columns), exp2);
}

// Each row of scores becomes unnormalised probabilities, and inverse_sums[r] 1 / their sum. Rows that see no key become
// zeros. A row whose visible scores are all -inf or NaN becomes NaN, as in the formula.
void softmax_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch,
                   float* inverse_sums) noexcept {
  const std::size_t columns = panel.padded_end() - panel.columns.begin;
  float* scores = scratch.scores + panel.columns.begin;
  const simd::Exp2 exp2;
  const bool natural = natural_base(args);
  for (std::size_t r = 0; r < panel.rows; ++r) {
    float* row = scores + r * scratch.row;
    const float maximum = row_maximum(row, columns);
    if (maximum == kNegativeInfinity &&
        args.visibility.visible_keys(panel.b, panel.h[r], panel.i[r], args.shape.S, scratch.bias).count() == 0) {
      std::fill(row, row + columns, 0.0f);
      inverse_sums[r] = 0.0f;
      continue;
    }
    float sum = natural ? softmax_natural(row, columns, maximum, exp2) : row_exp2(row, columns, maximum, exp2);
    // A score that has overflowed to -inf beside a finite maximum has the weight 0 all the same; any other makes NaN.
    if (!natural && std::isnan(sum)) sum = softmax_row_again(args, panel, r, scratch, exp2);
    inverse_sums[r] = 1.0f / sum;
  }
}

// output[r][n] = factor[r] * sum over j of probabilities[r][j] * v[j][n].   "ij,jd->id"
template <std::size_t kRows>
void sum_packed(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch,
                const float* factors) noexcept {
  const PackedHead& packed = *panel.packed;
  const std::size_t Dv = args.shape.Dv, packed_keys = packed.range.end - packed.range.begin;
  const auto [begin, end] = panel.columns;
  const float* values = packed.values + (begin - packed.range.begin) * simd::kTile;
  float* output_row_bhi = args.output.at(panel.b, panel.h[0], panel.i[0]);
  for (std::size_t n = 0; n < Dv; n += simd::kTile, values += simd::kTile * packed_keys) {
    Tile<kRows> tile;
    tile.fill(0.0f);
    tile.multiply_add(scratch.scores + begin, scratch.row, values, end - begin);
    for (std::size_t r = 0; r < kRows; ++r) {
      for (auto& v : tile.row[r]) v = v * simd::splat(factors[r]);
    }
    TileView to(output_row_bhi + n, args.output.row, kRows, std::min(simd::kTile, Dv - n));
    tile.store(to.data, to.stride);
    to.put_back();
  }
}

// The same for values that may be infinite or NaN: masked ones add nothing. Rare, so it is compiled for size.
[[gnu::cold]] void sum_packed_carefully(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch,
                                        const float* factors) noexcept {
  const PackedHead& packed = *panel.packed;
  const std::size_t Dv = args.shape.Dv, packed_keys = packed.range.end - packed.range.begin;
  const auto [begin, end] = panel.columns;
  const float* values = packed.values + (begin - packed.range.begin) * simd::kTile;
  for (std::size_t n = 0; n < Dv; n += simd::kTile, values += simd::kTile * packed_keys) {
    for (std::size_t r = 0; r < panel.rows; ++r) {
      float sum[simd::kTile];
      multiply_skipping_zeros(scratch.scores + r * scratch.row + begin, values, end - begin, sum);
      float* output_row_bhi = args.output.at(panel.b, panel.h[r], panel.i[r]) + n;
      for (std::size_t m = 0; m < std::min(simd::kTile, Dv - n); ++m) output_row_bhi[m] = sum[m] * factors[r];
    }
  }
}

void weighted_sum_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch,
                        const float* factors) noexcept {
  if (panel.packed != nullptr) {
    if (!panel.packed->finite_values) return sum_packed_carefully(args, panel, scratch, factors);
    return with_constant_rows<kLeastPackedRows>(panel.rows,
                                                [&](auto kRows) { sum_packed<kRows>(args, panel, scratch, factors); });
  }
  const std::size_t Dv = args.shape.Dv;
  const auto output_row = [&](std::size_t r) { return args.output.at(panel.b, panel.h[r], panel.i[r]); };
  bool todo[kTileRows] = {};
  const auto add_todo = [&](auto add) {
    for (std::size_t r = 0; r < panel.rows; ++r) {
      if (todo[r]) std::fill_n(output_row(r), Dv, 0.0f);
    }
    for_each_key_block(args, args.value, panel,
                       [&](std::size_t r, const float* values, std::size_t j, std::size_t count) {
                         if (!todo[r]) return;
                         add(scratch.scores + r * scratch.row + j, values, args.value.row, count, Dv, output_row(r));
                       });
  };
  std::fill_n(todo, panel.rows, true);
  add_todo(add_weighted_rows);
  // 0 times infinity must add nothing. Decided for each row separately, because its panel depends on the number of
  // threads.
  for (std::size_t r = 0; r < panel.rows; ++r) todo[r] = !all_finite(output_row(r), Dv);
  add_todo(add_weighted_rows_skipping_zeros);
  for (std::size_t r = 0; r < panel.rows; ++r) {
    for (std::size_t n = 0; n < Dv; ++n) output_row(r)[n] *= factors[r];
  }
}

// weights[b, h, i, j] = row[j] * factor, or `beyond` in columns without scores.
void write_weights(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch, const float* factors,
                   float beyond) noexcept {
  const std::size_t S = args.shape.S;
  const auto [begin, end] = panel.columns;
  for (std::size_t r = 0; r < panel.rows; ++r) {
    const float* row = scratch.scores + r * scratch.row;
    float* weights_row_bhi = args.weights + ((panel.b * args.shape.H + panel.h[r]) * args.shape.L + panel.i[r]) * S;
    simd::fill(weights_row_bhi, begin, beyond);
    std::size_t j = begin;
    for (; j + simd::kLanes <= end; j += simd::kLanes) {
      simd::store(weights_row_bhi + j, simd::load(row + j) * simd::splat(factors[r]));
    }
    for (; j < end; ++j) weights_row_bhi[j] = row[j] * factors[r];
    simd::fill(weights_row_bhi + end, S - end, beyond);
  }
}

bool asks_for(const AttentionArgs& args, WeightsStage stage) noexcept {
  return args.weights != nullptr && args.stage == stage;
}

}  // namespace

float key_scale(const AttentionArgs& args) noexcept { return args.scale * score_unit(args); }

Keys columns_of(const AttentionArgs& args, const KeyRange& range, std::size_t first, std::size_t last) noexcept {
  if (scores_all_keys(args)) return {0, args.shape.S};
  return {range.begin(first) / simd::kTile * simd::kTile, range.end(last)};
}

void write_zeros(const AttentionArgs& args, std::size_t b, std::size_t h, std::size_t i) noexcept {
  float* output_row_bhi = args.output.at(b, h, i);
  std::fill(output_row_bhi, output_row_bhi + args.shape.Dv, 0.0f);
}

void weigh_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch,
                 float* inverse_sums) noexcept {
  constexpr float kOnes[kTileRows] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
  score_panel(args, panel, scratch);
  if (asks_for(args, WeightsStage::kScores)) write_weights(args, panel, scratch, kOnes, 0.0f);
  if (args.softcap > 0.0f) cap_panel(args, panel, scratch);
  if (asks_for(args, WeightsStage::kCapped)) write_weights(args, panel, scratch, kOnes, 0.0f);
  mask_panel(args, panel, scratch);
  if (asks_for(args, WeightsStage::kMasked)) write_weights(args, panel, scratch, kOnes, kNegativeInfinity);
  softmax_panel(args, panel, scratch, inverse_sums);
}

void attend_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch) noexcept {
  float factors[kTileRows];
  weigh_panel(args, panel, scratch, factors);
  if (asks_for(args, WeightsStage::kProbabilities)) write_weights(args, panel, scratch, factors, 0.0f);
  for (std::size_t r = 0; args.dropout.rate > 0.0f && r < panel.rows; ++r) {
    const DropoutRow row(args.dropout, panel.b, panel.h[r], panel.i[r]);
    row.apply(scratch.scores + r * scratch.row, panel.columns.begin, panel.padded_end(), args.dropout.scale());
  }
  if (args.gates != nullptr) {
    for (std::size_t r = 0; r < panel.rows; ++r) {
      const float gate = args.gates[panel.h[r]];
      factors[r] = gate == 0.0f ? 0.0f : factors[r] * gate;  // also if the sum is NaN
    }
  }
  weighted_sum_panel(args, panel, scratch, factors);
  for (std::size_t r = 0; r < panel.rows; ++r) {  // 0 times infinity must be 0 here, too
    if (factors[r] == 0.0f) write_zeros(args, panel.b, panel.h[r], panel.i[r]);
  }
}

}  // namespace headwise
