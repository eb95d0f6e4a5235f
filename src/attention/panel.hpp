// A panel: up to 6 query rows that pass score, mask, softmax and weighted sum together.
#pragma once

#include <cstddef>

#include "attention/scaled_dot_product.hpp"
#include "kernels/tile.hpp"

namespace headwise {

inline constexpr std::size_t kLeastPackedRows = 2;  // in a panel of a packed head: L = 5 may be split into 3 and 2

struct Keys {
  std::size_t begin, end;
};

// One key/value head, packed.
struct PackedHead {
  Keys range;           // keys that are packed; begin: a multiple of 8
  const float* keys;    // [S / 8][D][8], times `key_scale`
  const float* values;  // [Dv / 8][S][8]
  bool finite_values;   // whether 0 * value is 0 for all of them
};

// Query rows that pass all steps together: rows of one packed head, or rows of several heads that are not packed.
struct Panel {
  std::size_t b;
  KeyRange range;  // the keys that the rows may see
  Keys columns;    // the keys that any row may see or must score; begin: a multiple of 8
  const PackedHead* packed = nullptr;
  std::size_t rows = 0;
  std::size_t h[kTileRows] = {}, i[kTileRows] = {};  // head and query index of each row

  std::size_t padded_end() const { return simd::round_up(columns.end, simd::kTile); }
};

struct PanelScratch {
  float* scores;  // [kTileRows, row] with row = S rounded up to a tile
  float* bias;    // [S]
  std::size_t row;
  float* cap_slopes = nullptr;  // [kTileRows, row]: with a softcap, its derivative at each score; null: not wanted
};

// The factor of packed keys, so that scores need no further factor.
float key_scale(const AttentionArgs& args) noexcept;
// The keys that queries [first, last] may see or must score.
Keys columns_of(const AttentionArgs& args, const KeyRange& range, std::size_t first, std::size_t last) noexcept;

// The first steps: scores, then probabilities times the sum of their row. Writes the inverse sums to inverse_sums; rows
// that see no key have probabilities and inverse sum 0.   inverse_sums: [panel.rows]
void weigh_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch,
                 float* inverse_sums) noexcept;
// All steps.
void attend_panel(const AttentionArgs& args, const Panel& panel, const PanelScratch& scratch) noexcept;
void write_zeros(const AttentionArgs& args, std::size_t b, std::size_t h, std::size_t i) noexcept;

}  // namespace headwise
