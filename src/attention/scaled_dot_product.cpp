// Keys and values are packed once per head for all its panels of query rows (panel.cpp). A few heads are packed at a
// time, as many as a second-level cache holds, so memory does not grow with the number of heads. A few queries read
// keys and values without packing.
#include "attention/scaled_dot_product.hpp"

#include <algorithm>
#include <numeric>

#include "attention/panel.hpp"
#include "kernels/pack.hpp"

namespace headwise {
namespace {

// 48 query rows (32 with tiles of 4) read a head's packed keys and values from cache.
constexpr std::size_t kPanelsPerTask = 8;
constexpr std::size_t kWaveFloats = (1u << 19) / sizeof(float);  // half of a 1 MB cache
constexpr std::size_t kFewQueries = 4;                           // up to here, packing costs more than it saves

bool skips(const AttentionArgs& args, std::size_t h) noexcept {
  return args.weights == nullptr && args.gates != nullptr && args.gates[h] == 0.0f;
}

std::uint64_t packed_keys_size(const AttentionShape& shape) { return Arena::padded(packed_size(shape.S, shape.D)); }
std::uint64_t packed_values_size(const AttentionShape& shape) { return Arena::padded(packed_size(shape.Dv, shape.S)); }
std::uint64_t packed_head_size(const AttentionShape& shape) {
  return packed_keys_size(shape) + packed_values_size(shape);
}
std::uint64_t score_rows_size(const AttentionShape& shape) {
  return Arena::padded(kTileRows * simd::round_up(shape.S, simd::kTile)) + Arena::padded(shape.S);
}

// Number of key/value heads that are packed at once, of B * G in total.
std::size_t heads_per_wave(const AttentionShape& shape, std::size_t threads) {
  const std::uint64_t in_cache = kWaveFloats / std::max<std::uint64_t>(packed_head_size(shape), 1);
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max<std::uint64_t>(in_cache, threads), std::uint64_t{shape.B} * shape.G));
}

PanelScratch panel_scratch(const AttentionShape& shape, float* scores, std::size_t worker) noexcept {
  float* own = scores + worker * score_rows_size(shape);
  const std::size_t row = simd::round_up(shape.S, simd::kTile);
  return {own, own + Arena::padded(kTileRows * row), row};
}

// Few queries per head: rows of several heads form a panel and read keys and values without packing.
void attend_few(const AttentionArgs& args, float* scores, Context& context) noexcept {
  const AttentionShape& shape = args.shape;
  const std::size_t threads = context.pool.threads(), rows = shape.H * shape.L;  // of one batch row
  const std::size_t rows_per_task = std::clamp<std::size_t>(rows / threads, 1, kTileRows);
  const std::size_t tasks_per_batch = (rows + rows_per_task - 1) / rows_per_task;
  const double flops = 2.0 * static_cast<double>(shape.B * rows) * static_cast<double>(shape.S * (shape.D + shape.Dv));
  context.pool.parallel_for(shape.B * tasks_per_batch, flops, [&](std::size_t task, std::size_t worker) {
    const std::size_t b = task / tasks_per_batch, first = task % tasks_per_batch * rows_per_task;
    const KeyRange range = args.visibility.key_range(b, shape.S);
    Panel panel{.b = b, .range = range, .columns = columns_of(args, range, 0, shape.L - 1)};
    for (std::size_t row = first; row < std::min(first + rows_per_task, rows); ++row) {
      const std::size_t h = row / shape.L, i = row % shape.L;
      if (skips(args, h)) {
        write_zeros(args, b, h, i);
      } else {
        panel.h[panel.rows] = h;
        panel.i[panel.rows++] = i;
      }
    }
    if (panel.rows > 0) attend_panel(args, panel, panel_scratch(shape, scores, worker));
  });
}

// Packs key/value heads wave by wave. After each wave its query heads attend; a task is a few panels.
void attend_packed(const AttentionArgs& args, const AttentionScratch& memory, Context& context) noexcept {
  const AttentionShape& shape = args.shape;
  const std::size_t H = shape.H, G = shape.G, L = shape.L, D = shape.D, Dv = shape.Dv;
  const std::size_t per_wave = heads_per_wave(shape, context.pool.threads());
  const auto packed_keys = [&](std::size_t slot) { return memory.packed + slot * packed_head_size(shape); };
  const auto packed_values = [&](std::size_t slot) { return packed_keys(slot) + packed_keys_size(shape); };
  // Heads are counted over all batch rows: key/value heads 0 … B * G - 1, query heads 0 … B * H - 1.
  const auto first_query = [&](std::size_t kv) { return kv / G * H + args.kv_heads.first_query(kv % G, shape); };

  const RowPanels panels(L, context.tile_rows);
  const std::size_t tasks_per_head = (panels.count + kPanelsPerTask - 1) / kPanelsPerTask;
  for (std::size_t wave = 0; wave < shape.B * G; wave += per_wave) {
    const std::size_t kv_heads = std::min(per_wave, shape.B * G - wave);
    const double packed_floats = static_cast<double>(kv_heads * shape.S) * static_cast<double>(D + Dv);
    context.pool.parallel_for(kv_heads, 8 * packed_floats, [&](std::size_t slot, std::size_t) {
      const std::size_t b = (wave + slot) / G, g = (wave + slot) % G;
      const auto [begin, end] = columns_of(args, args.visibility.key_range(b, shape.S), 0, L - 1);
      pack_rows(args.key.at(b, g, begin), args.key.row, end - begin, D, key_scale(args), packed_keys(slot));
      const bool finite =
          pack_columns(args.value.at(b, g, begin), args.value.row, end - begin, Dv, packed_values(slot));
      memory.all_finite[slot] = finite ? 1.0f : 0.0f;
    });

    const std::size_t first = first_query(wave), heads = first_query(wave + kv_heads) - first;
    const double flops = 2.0 * static_cast<double>(heads * L) * static_cast<double>(shape.S * (D + Dv));
    context.pool.parallel_for(heads * tasks_per_head, flops, [&](std::size_t task, std::size_t worker) {
      const std::size_t b = (first + task / tasks_per_head) / H, h = (first + task / tasks_per_head) % H;
      const std::size_t p_begin = task % tasks_per_head * kPanelsPerTask;
      const std::size_t p_end = std::min(p_begin + kPanelsPerTask, panels.count);
      if (skips(args, h)) {
        for (std::size_t i = panels.first_row(p_begin); i < panels.first_row(p_end); ++i) write_zeros(args, b, h, i);
        return;
      }
      const std::size_t g = args.kv_heads.of(h, shape), slot = b * G + g - wave;
      const KeyRange range = args.visibility.key_range(b, shape.S);
      const PackedHead packed_head{columns_of(args, range, 0, L - 1), packed_keys(slot), packed_values(slot),
                                   memory.all_finite[slot] != 0.0f};
      const PanelScratch scratch = panel_scratch(shape, memory.scores, worker);
      for (std::size_t p = p_begin; p < p_end; ++p) {
        const std::size_t i = panels.first_row(p), rows = panels.rows(p);
        Panel panel{b, range, columns_of(args, range, i, i + rows - 1), &packed_head, rows};
        std::fill_n(panel.h, rows, h);
        std::iota(panel.i, panel.i + rows, i);
        attend_panel(args, panel, scratch);
      }
    });
  }
}

}  // namespace

AttentionScratch take_attention_scratch(const AttentionShape& shape, std::size_t threads, Arena& arena) {
  AttentionScratch scratch{};
  scratch.scores = arena.take(threads * score_rows_size(shape));
  if (shape.L <= kFewQueries) return scratch;
  const std::size_t per_wave = heads_per_wave(shape, threads);
  scratch.packed = arena.take(per_wave * packed_head_size(shape));
  scratch.all_finite = arena.take(per_wave);
  return scratch;
}

void attention(const AttentionArgs& args, const AttentionScratch& scratch, Context& context) noexcept {
  if (args.shape.L == 0) return;
  if (args.shape.L <= kFewQueries) {
    attend_few(args, scratch.scores, context);
  } else {
    attend_packed(args, scratch, context);
  }
}

Status attention(const AttentionArgs& args, Context& context) {
  Arena counted;
  take_attention_scratch(args.shape, context.pool.threads(), counted);
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(counted.used()));
  attention(args, take_attention_scratch(args.shape, context.pool.threads(), context.arena), context);
  return Status::kOk;
}

}  // namespace headwise
