// A task is one key/value head with all query heads that read it, one block of rows at a time, so that the gradients of
// its keys and values are summed in the same order on any number of threads. With P the probabilities, M the factors of
// dropout, O = (P * M) V and S = scale Q K^T:
//   dP = M * (dO V^T) + (the gradient of P itself)     dS = P * (dP - sum over j of P dP) * (the softcap's derivative)
//   dQ = scale dS K       dK = scale dS^T Q       dV = (P * M)^T dO
#include "attention/attention_backward.hpp"

#include <algorithm>
#include <numeric>

#include "attention/panel.hpp"
#include "kernels/gemm.hpp"
#include "kernels/pack.hpp"
#include "kernels/rows.hpp"

namespace headwise {
namespace {

// Query rows of a block, whose P and dS are kept: the gradients of keys and values are loaded and stored once per
// block. The number of rows is fixed, and not the number of panels, whose height depends on the engine. So results are
// the same in all engines.
constexpr std::size_t kBlockRows = 48;

// Floats from row to row of P and dS: an odd number of cache lines, so that columns spread over the sets of the cache.
constexpr std::size_t row_stride(std::size_t S) {
  constexpr std::size_t kLine = kAlignment / sizeof(float);
  return (simd::round_up(S, kLine) / kLine | 1) * kLine;
}

// The scratch of one worker.
struct Scratch {
  float* keys;         // [S / 8][D][8], times key_scale: for the scores
  float* key_columns;  // [D / 8][S][8]: for dQ
  float* values;       // [S / 8][Dv][8]: for dP
  float* queries;      // [D / 8][rows][8], a block's: for dK
  float* outputs;      // [Dv / 8][rows][8], a block's dO: for dV
  float* weights;      // P, [kBlockRows, row]
  float* scores;       // dP, then dS, [kBlockRows, row]
  float* cap_slopes;   // [kTileRows, row]
  float* bias;         // [S]
  std::size_t row;
};

Scratch take_scratch(const AttentionShape& shape, Arena& arena) {
  const std::uint64_t row = row_stride(shape.S);
  Scratch scratch;
  scratch.keys = arena.take(packed_size(shape.S, shape.D));
  scratch.key_columns = arena.take(packed_size(shape.D, shape.S));
  scratch.values = arena.take(packed_size(shape.S, shape.Dv));
  scratch.queries = arena.take(packed_size(shape.D, kBlockRows));
  scratch.outputs = arena.take(packed_size(shape.Dv, kBlockRows));
  scratch.weights = arena.take(kBlockRows * row);
  scratch.scores = arena.take(kBlockRows * row);
  scratch.cap_slopes = arena.take(kTileRows * row);
  scratch.bias = arena.take(shape.S);
  scratch.row = row_stride(shape.S);
  return scratch;
}

std::uint64_t scratch_size(const AttentionShape& shape) {
  Arena counted;
  take_scratch(shape, counted);
  return counted.used();
}

// The query rows [first, first + rows) of one head, and the keys that they see.
struct Block {
  std::size_t b, h, first, rows;
  Keys columns;  // of all rows; both multiples of 8, the end perhaps beyond S
  bool live[kBlockRows];
};

// Products of up to 6 rows: out = a b.   a: [rows, b.depth], out: [rows, b.columns]
void multiply(const float* a, std::size_t a_row, std::size_t rows, const PackedMatrix& b, Range tiles, float* out,
              std::size_t out_row) noexcept {
  gemm(a, a_row, RowPanels(rows, kTileRows), {0, 1}, b, tiles, Start::kZero, nullptr, out, out_row);
}

// The same, leaving out terms for which a is 0.
void multiply_carefully(const float* a, std::size_t a_row, std::size_t rows, const PackedMatrix& b, float* out,
                        std::size_t out_row) noexcept {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t n = 0; n < b.columns; n += simd::kTile) {
      float sum[simd::kTile];
      multiply_skipping_zeros(a + r * a_row, b.data + n / simd::kTile * b.panel, b.depth, sum);
      std::copy_n(sum, std::min(simd::kTile, b.columns - n), out + r * out_row + n);
    }
  }
}

// out += a^T b, with only the first `rows` columns of a.   a: [b.depth, …], out: [rows, b.columns]
void add_transposed(const float* a, std::size_t a_row, std::size_t rows, const PackedMatrix& b, float* out,
                    std::size_t out_row, std::size_t tile_rows) noexcept {
  gemm_transposed(a, a_row, RowPanels(rows, tile_rows), b, out, simd::kTile, out_row);
}

// weights: P times its row's sum on entry, P * M on return; scores: dP = dO V^T on entry, scale dS on return. If P
// is 0, so is dS for any dP, so NaN in masked values has no effect.   columns: whole tiles
void differentiate_softmax(const AttentionArgs& args, const DropoutRow* dropout, Keys columns, float inverse_sum,
                           const float* cap_slopes, const float* grad_weights, float* weights, float* scores) noexcept {
  const simd::Vec zero = simd::splat(0.0f);
  multiply_row(weights + columns.begin, columns.end - columns.begin, inverse_sum);
  if (dropout != nullptr) dropout->apply(scores, columns.begin, columns.end, args.dropout.scale());
  if (grad_weights != nullptr) {
    const std::size_t end = std::min(columns.end, args.shape.S);
    for (std::size_t j = columns.begin; j < end; ++j) scores[j] += grad_weights[j];
  }
  simd::Vec sum = zero, total = zero;  // over j of P dP, of P
  for (std::size_t j = columns.begin; j < columns.end; j += simd::kLanes) {
    const simd::Vec p = simd::load(weights + j);
    sum = sum + simd::select(p == zero, zero, p * simd::load(scores + j));
    total = total + p;
  }
  // P sums to nearly 1. Divided by its actual sum, a row of dS sums to 0 as closely as possible. The gradient of the
  // keys' bias consists of these sums alone.
  const simd::Vec mean = simd::splat(simd::reduce_add(sum) / simd::reduce_add(total)), scale = simd::splat(args.scale);
  for (std::size_t j = columns.begin; j < columns.end; j += simd::kLanes) {
    const simd::Vec p = simd::load(weights + j);
    simd::Vec slope = p * (simd::load(scores + j) - mean) * scale;
    if (cap_slopes != nullptr) slope = slope * simd::load(cap_slopes + j);
    simd::store(scores + j, simd::select(p == zero, zero, slope));
  }
  if (dropout != nullptr) dropout->apply(weights, columns.begin, columns.end, args.dropout.scale());
}

// P * M and dS of one panel's rows, `first` rows into the block; then their dQ.
void differentiate_panel(const AttentionArgs& args, const AttentionGradients& gradients, const PackedHead& head,
                         bool finite_keys, const Scratch& scratch, std::size_t first, std::size_t rows,
                         Block& block) noexcept {
  const AttentionShape& shape = args.shape;
  const std::size_t b = block.b, h = block.h, i = block.first + first, row = scratch.row;
  const KeyRange range = args.visibility.key_range(b, shape.S);
  Panel panel{b, range, columns_of(args, range, i, i + rows - 1), rows < kLeastPackedRows ? nullptr : &head, rows};
  std::fill_n(panel.h, rows, h);
  std::iota(panel.i, panel.i + rows, i);
  float* weights = scratch.weights + first * row;
  float* scores = scratch.scores + first * row;
  float inverse_sums[kTileRows];
  weigh_panel(args, panel, {weights, scratch.bias, row, args.softcap > 0.0f ? scratch.cap_slopes : nullptr},
              inverse_sums);

  const std::size_t keys = head.range.end - head.range.begin, begin = panel.columns.begin - head.range.begin;
  const Keys columns{panel.columns.begin, panel.padded_end()};
  const float* grad_output = gradients.output.at(b, h, i);
  multiply(grad_output, gradients.output.row, rows, {scratch.values, keys, shape.Dv, shape.Dv * simd::kTile},
           {begin / simd::kTile, simd::tiles(panel.columns.end - head.range.begin)}, scores + head.range.begin, row);
  for (std::size_t r = 0; r < rows; ++r, weights += row, scores += row) {
    const float* grad_weights =
        gradients.weights == nullptr ? nullptr : gradients.weights + ((b * shape.H + h) * shape.L + i + r) * shape.S;
    const DropoutRow dropout(args.dropout, b, h, i + r);
    block.live[first + r] = !all_zeros(grad_output + r * gradients.output.row, shape.Dv) ||
                            (grad_weights != nullptr &&
                             !all_zeros(grad_weights + panel.columns.begin, panel.columns.end - panel.columns.begin));
    Keys differentiated = columns;
    if (block.live[first + r]) {
      differentiate_softmax(args, args.dropout.rate > 0.0f ? &dropout : nullptr, columns, inverse_sums[r],
                            args.softcap > 0.0f ? scratch.cap_slopes + r * row : nullptr, grad_weights, weights,
                            scores);
    } else {
      differentiated.end = differentiated.begin;
    }
    for (float* line : {weights, scores}) {  // columns that other rows of the block see, but not this one
      std::fill(line + block.columns.begin, line + differentiated.begin, 0.0f);
      std::fill(line + differentiated.end, line + block.columns.end, 0.0f);
    }
  }
  const PackedMatrix key_columns{scratch.key_columns + begin * simd::kTile, shape.D,
                                 panel.columns.end - panel.columns.begin, keys * simd::kTile};
  scores = scratch.scores + first * row + panel.columns.begin;
  float* grad_query = gradients.query.at(b, h, i);
  if (finite_keys) {
    multiply(scores, row, rows, key_columns, {0, simd::tiles(shape.D)}, grad_query, gradients.query.row);
  } else {
    multiply_carefully(scores, row, rows, key_columns, grad_query, gradients.query.row);
  }
}

// Adds the block's part to the gradients of the keys and values that it sees.
void add_key_gradients(const AttentionArgs& args, const AttentionGradients& gradients, std::size_t g,
                       const Scratch& scratch, const Block& block, std::size_t tile_rows) noexcept {
  const AttentionShape& shape = args.shape;
  const auto [b, h, first, rows, columns, live] = block;
  const std::size_t keys = std::min(columns.end, shape.S) - columns.begin, panel = rows * simd::kTile;
  pack_columns(gradients.output.at(b, h, first), gradients.output.row, rows, shape.Dv, scratch.outputs);
  if (!pack_columns(args.query.at(b, h, first), args.query.row, rows, shape.D, scratch.queries)) {
    for (std::size_t n = 0; n < simd::tiles(shape.D); ++n) {
      for (std::size_t r = 0; r < rows; ++r) {
        if (!live[r]) std::fill_n(scratch.queries + n * panel + r * simd::kTile, simd::kTile, 0.0f);
      }
    }
  }
  add_transposed(scratch.weights + columns.begin, scratch.row, keys, {scratch.outputs, shape.Dv, rows, panel},
                 gradients.value.at(b, g, columns.begin), gradients.value.row, tile_rows);
  add_transposed(scratch.scores + columns.begin, scratch.row, keys, {scratch.queries, shape.D, rows, panel},
                 gradients.key.at(b, g, columns.begin), gradients.key.row, tile_rows);
}

void differentiate_head(const AttentionArgs& args, const AttentionGradients& gradients, std::size_t b, std::size_t g,
                        const Scratch& scratch, std::size_t tile_rows) noexcept {
  const AttentionShape& shape = args.shape;
  for (std::size_t j = 0; j < shape.S; ++j) {
    std::fill_n(gradients.key.at(b, g, j), shape.D, 0.0f);
    std::fill_n(gradients.value.at(b, g, j), shape.Dv, 0.0f);
  }
  if (shape.L == 0) return;
  const KeyRange range = args.visibility.key_range(b, shape.S);
  const PackedHead head{columns_of(args, range, 0, shape.L - 1), scratch.keys, nullptr, true};
  const auto [begin, end] = head.range;
  pack_rows(args.key.at(b, g, begin), args.key.row, end - begin, shape.D, key_scale(args), scratch.keys);
  pack_rows(args.value.at(b, g, begin), args.value.row, end - begin, shape.Dv, 1.0f, scratch.values);
  const bool finite_keys =
      pack_columns(args.key.at(b, g, begin), args.key.row, end - begin, shape.D, scratch.key_columns);

  const std::size_t blocks = (shape.L + kBlockRows - 1) / kBlockRows;
  const auto first_row = [&](std::size_t n) { return std::min(n * kBlockRows, shape.L); };
  for (std::size_t h = args.kv_heads.first_query(g, shape); h < args.kv_heads.first_query(g + 1, shape); ++h) {
    for (std::size_t n = 0; n < blocks; ++n) {
      const std::size_t i = first_row(n), rows = first_row(n + 1) - i;
      const Keys seen = columns_of(args, range, i, i + rows - 1);
      Block block{b, h, i, rows, {seen.begin, simd::round_up(seen.end, simd::kTile)}, {}};
      const RowPanels panels(rows, tile_rows);
      for (std::size_t p = 0; p < panels.count; ++p) {
        differentiate_panel(args, gradients, head, finite_keys, scratch, panels.first_row(p), panels.rows(p), block);
      }
      add_key_gradients(args, gradients, g, scratch, block, tile_rows);
    }
  }
}

}  // namespace

float* take_attention_backward_scratch(const AttentionShape& shape, std::size_t threads, Arena& arena) {
  return arena.take(threads * scratch_size(shape));
}

void attention_backward(const AttentionArgs& args, const AttentionGradients& gradients, float* scratch,
                        Context& context) noexcept {
  const AttentionShape& shape = args.shape;
  AttentionArgs unasked = args;
  unasked.weights = nullptr;
  const auto per_worker = static_cast<std::size_t>(scratch_size(shape));
  const double flops = 10.0 * static_cast<double>(shape.B * shape.H) * static_cast<double>(shape.L * shape.S) *
                       static_cast<double>(std::max(shape.D, shape.Dv));
  context.pool.parallel_for(shape.B * shape.G, flops, [&](std::size_t task, std::size_t worker) {
    Arena own(scratch + worker * per_worker, per_worker);
    differentiate_head(unasked, gradients, task / shape.G, task % shape.G, take_scratch(shape, own), context.tile_rows);
  });
}

}  // namespace headwise
