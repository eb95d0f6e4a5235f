// Keys and values are packed once per head. Then each panel of up to 6 query rows goes through four steps: scores of
// all its keys (in cache, the only L x S there is: 6 rows of it), mask, softmax, weighted sum of the values. Two passes
// over a panel without online rescaling were as fast as or faster than every online tiling tried, up to S = 2,048.
#include "attention/scaled_dot_product.hpp"

#include "kernels/pack.hpp"
#include "kernels/tile.hpp"

namespace headwise {
namespace {

constexpr float kLog2E = 1.44269504088896340736f;
constexpr std::size_t kPanelsPerTask = 8;  // 48 query rows read a head's packed keys and values from cache

struct PackedHead {
  const float* keys;    // [S / 8][D][8], times scale * log2 e
  const float* values;  // [Dv / 8][S][8]
  bool finite_values;   // whether 0 * value is 0 for all of them
};

struct PanelScratch {
  float* scores;  // [kTileRows, row] with row = S rounded up to a tile
  float* bias;    // [S]
  std::size_t row;
};

// A panel of query rows of one head.
struct Panel {
  std::size_t b, h, i;  // its first query
  std::size_t columns;  // keys that any of its rows may see: [0, columns)
};

// scores[r][j] = q[i + r] . k[j], in base 2.   "id,jd->ij"
template <std::size_t kRows>
void score_panel(const AttentionArgs& args, const Panel& panel, const PackedHead& head, float* scores,
                 std::size_t row) noexcept {
  const std::size_t D = args.shape.D;
  const float* query_row_bhi = args.query.at(panel.b, panel.h, panel.i);
  for (std::size_t j = 0; j < panel.columns; j += simd::kTile) {
    Tile<kRows> tile;
    tile.fill(0.0f);
    tile.multiply_add(query_row_bhi, args.query.row, head.keys + j * D, D);
    for (std::size_t r = 0; r < kRows; ++r) tile.store_row(r, scores + r * row + j, simd::kTile);
  }
}

// Times log2 e still finite. Masks in use elsewhere hold the lowest float there is, which must not become -inf.
constexpr float kLowestBias = -2.3e38f;

// row[j] = -inf where bias[j] is -inf (whatever the score is: NaN in masked keys goes nowhere), else row[j] + bias[j].
void add_bias(float* row, const float* bias, std::size_t columns) noexcept {
  const simd::Vec minus_infinity = simd::splat(kNegativeInfinity);
  const simd::Vec log2_e = simd::splat(kLog2E);
  const simd::Vec lowest = simd::splat(kLowestBias);
  std::size_t j = 0;
  for (; j + simd::kLanes <= columns; j += simd::kLanes) {
    const simd::Vec b = simd::load(bias + j);
    const simd::Vec sum = simd::fma(simd::max_skipping_nan(b, lowest), log2_e, simd::load(row + j));
    simd::store(row + j, simd::select(b == minus_infinity, minus_infinity, sum));
  }
  for (; j < columns; ++j) {
    const float b = bias[j] < kLowestBias ? kLowestBias : bias[j];
    row[j] = bias[j] == kNegativeInfinity ? kNegativeInfinity : row[j] + b * kLog2E;
  }
}

// Sets what each row may not see, up to the end of the last tile, to -inf, and adds the mask.
void mask_panel(const AttentionArgs& args, const Panel& panel, std::size_t rows, const PanelScratch& scratch) noexcept {
  const Visibility& visibility = args.visibility;
  const std::size_t padded_columns = simd::round_up(panel.columns, simd::kTile);
  const float* bias = nullptr;
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = scratch.scores + r * scratch.row;
    const std::size_t end = visibility.key_end(panel.b, panel.i + r, args.shape.S);
    std::fill(row + end, row + padded_columns, kNegativeInfinity);
    if (visibility.mask.empty()) continue;
    if (r == 0 || !visibility.mask.same_for_all_queries()) {
      bias = visibility.mask.bias_row(panel.b, panel.h, panel.i + r, panel.columns, scratch.bias);
    }
    add_bias(row, bias, end);
  }
}

// Turns each row of scores into unnormalised probabilities and writes 1 / sum. Rows that see no key become zeros; a row
// whose visible scores are all -inf or NaN becomes NaN, as in the formula.
void softmax_panel(const AttentionArgs& args, const Panel& panel, std::size_t rows, const PanelScratch& scratch,
                   float* inverse_sums, const simd::Exp2& exp2) noexcept {
  const std::size_t padded_columns = simd::round_up(panel.columns, simd::kTile);
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = scratch.scores + r * scratch.row;
    const float maximum = row_maximum(row, padded_columns);
    if (maximum == kNegativeInfinity &&
        args.visibility.visible_keys(panel.b, panel.h, panel.i + r, args.shape.S, scratch.bias) == 0) {
      std::fill(row, row + padded_columns, 0.0f);
      inverse_sums[r] = 0.0f;
    } else {
      inverse_sums[r] = 1.0f / row_exp2(row, padded_columns, maximum, exp2);
    }
  }
}

// output[i + r][n] = factor[r] * sum over j of probabilities[r][j] * v[j][n].   "ij,jd->id"
template <std::size_t kRows>
void weighted_sum_panel(const AttentionArgs& args, const Panel& panel, const PackedHead& head,
                        const float* probabilities, std::size_t row, const float* factors) noexcept {
  const std::size_t S = args.shape.S, Dv = args.shape.Dv;
  float* output_row_bhi = args.output.at(panel.b, panel.h, panel.i);
  for (std::size_t n = 0; n < Dv; n += simd::kTile) {
    Tile<kRows> tile;
    tile.fill(0.0f);
    const float* values = head.values + n * S;
    if (head.finite_values) {
      tile.multiply_add(probabilities, row, values, panel.columns);
    } else {
      tile.multiply_add_skipping_zeros(probabilities, row, values, panel.columns);
    }
    for (std::size_t r = 0; r < kRows; ++r) {
      for (auto& v : tile.row[r]) v = v * simd::splat(factors[r]);
      tile.store_row(r, output_row_bhi + r * args.output.row + n, std::min(simd::kTile, Dv - n));
    }
  }
}

// weights[b, h, i + r, j] = probabilities[r][j] / sum; zero beyond the columns that the panel sees.
void write_weights(const AttentionArgs& args, const Panel& panel, std::size_t rows, const PanelScratch& scratch,
                   const float* inverse_sums) noexcept {
  const std::size_t S = args.shape.S;
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = scratch.scores + r * scratch.row;
    float* weights_row_bhi = args.weights + ((panel.b * args.shape.H + panel.h) * args.shape.L + panel.i + r) * S;
    for (std::size_t j = 0; j < panel.columns; ++j) weights_row_bhi[j] = row[j] * inverse_sums[r];
    std::fill(weights_row_bhi + panel.columns, weights_row_bhi + S, 0.0f);
  }
}

void write_zeros(const AttentionArgs& args, std::size_t b, std::size_t h, std::size_t i, std::size_t rows) noexcept {
  for (std::size_t r = 0; r < rows; ++r) {
    float* output_row_bhi = args.output.at(b, h, i + r);
    std::fill(output_row_bhi, output_row_bhi + args.shape.Dv, 0.0f);
  }
}

void attend_panel(const AttentionArgs& args, std::size_t b, std::size_t h, std::size_t i, std::size_t rows,
                  const PackedHead& head, const PanelScratch& scratch, const simd::Exp2& exp2) noexcept {
  const Panel panel{b, h, i, args.visibility.key_end(b, i + rows - 1, args.shape.S)};
  float factors[kTileRows];
  with_constant_rows(rows, [&](auto kRows) { score_panel<kRows>(args, panel, head, scratch.scores, scratch.row); });
  mask_panel(args, panel, rows, scratch);
  softmax_panel(args, panel, rows, scratch, factors, exp2);
  if (args.weights != nullptr) write_weights(args, panel, rows, scratch, factors);
  const float gate = args.gates == nullptr ? 1.0f : args.gates[h];
  if (gate == 0.0f) return write_zeros(args, b, h, i, rows);
  for (std::size_t r = 0; r < rows; ++r) factors[r] *= gate;
  with_constant_rows(
      rows, [&](auto kRows) { weighted_sum_panel<kRows>(args, panel, head, scratch.scores, scratch.row, factors); });
}

bool skips(const AttentionArgs& args, std::size_t h) noexcept {
  return args.weights == nullptr && args.gates != nullptr && args.gates[h] == 0.0f;
}

std::uint64_t packed_keys_size(const AttentionShape& shape) { return Arena::padded(packed_size(shape.S, shape.D)); }
std::uint64_t packed_values_size(const AttentionShape& shape) { return Arena::padded(packed_size(shape.Dv, shape.S)); }
std::uint64_t score_rows_size(const AttentionShape& shape) {
  return Arena::padded(kTileRows * simd::round_up(shape.S, simd::kTile)) + Arena::padded(shape.S);
}

}  // namespace

std::uint64_t attention_scratch(const AttentionShape& shape, std::size_t threads) {
  const std::uint64_t heads = std::uint64_t{shape.B} * shape.H;
  return heads * (packed_keys_size(shape) + packed_values_size(shape)) + Arena::padded(heads) +
         threads * score_rows_size(shape);
}

void attention(const AttentionArgs& args, Context& context) noexcept {
  const std::size_t H = args.shape.H, L = args.shape.L, S = args.shape.S, D = args.shape.D, Dv = args.shape.Dv;
  const std::size_t heads = args.shape.B * H;
  float* keys = context.arena.take(heads * packed_keys_size(args.shape));
  float* values = context.arena.take(heads * packed_values_size(args.shape));
  float* all_finite = context.arena.take(heads);  // [B * H], 1 where a head's values are
  float* scores = context.arena.take(context.pool.threads() * score_rows_size(args.shape));
  const auto keys_of = [&](std::size_t head) { return keys + head * packed_keys_size(args.shape); };
  const auto values_of = [&](std::size_t head) { return values + head * packed_values_size(args.shape); };

  const double packed_floats = static_cast<double>(heads) * static_cast<double>(S) * static_cast<double>(D + Dv);
  context.pool.parallel_for(heads, 8 * packed_floats, [&](std::size_t head, std::size_t) {
    const std::size_t b = head / H, h = head % H;
    if (skips(args, h)) return;
    pack_rows(args.key.at(b, h, 0), args.key.row, S, D, args.scale * kLog2E, keys_of(head));
    all_finite[head] = pack_columns(args.value.at(b, h, 0), args.value.row, S, Dv, values_of(head)) ? 1.0f : 0.0f;
  });

  const RowPanels panels(L);
  const std::size_t tasks_per_head = (panels.count + kPanelsPerTask - 1) / kPanelsPerTask;
  const double flops = 2 * packed_floats * static_cast<double>(L);
  context.pool.parallel_for(heads * tasks_per_head, flops, [&](std::size_t task, std::size_t worker) {
    const std::size_t head = task / tasks_per_head, b = head / H, h = head % H;
    const std::size_t begin = task % tasks_per_head * kPanelsPerTask;
    const std::size_t end = std::min(begin + kPanelsPerTask, panels.count);
    if (skips(args, h)) {
      for (std::size_t p = begin; p < end; ++p) write_zeros(args, b, h, panels.first_row(p), panels.rows(p));
      return;
    }
    const PackedHead packed{keys_of(head), values_of(head), all_finite[head] != 0.0f};
    float* own_scores = scores + worker * score_rows_size(args.shape);
    const std::size_t row = simd::round_up(S, simd::kTile);
    const PanelScratch scratch{own_scores, own_scores + Arena::padded(kTileRows * row), row};
    const simd::Exp2 exp2;
    for (std::size_t p = begin; p < end; ++p) {
      attend_panel(args, b, h, panels.first_row(p), panels.rows(p), packed, scratch, exp2);
    }
  });
}

}  // namespace headwise
