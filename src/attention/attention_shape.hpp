// The extents of an attention call, and which key/value head each query head reads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace headwise {

struct AttentionShape {
  std::size_t B, H, G, L, S, D, Dv;
};

// Grouped-query attention (Ainslie et al. 2023): groups of consecutive query heads share a key/value head, and each of
// the G key/value heads has a group. Groups have equal sizes unless a table is given.
struct KvHeads {
  const std::uint32_t* table = nullptr;  // [H], ascending; null: floor(h * G / H)

  std::size_t of(std::size_t h, const AttentionShape& shape) const noexcept {
    return table == nullptr ? h / (shape.H / shape.G) : table[h];
  }
  // Query heads of the groups before g: group g has heads [first_query(g), first_query(g + 1)).
  std::size_t first_query(std::size_t g, const AttentionShape& shape) const noexcept {
    if (table == nullptr) return shape.G == 0 ? 0 : g * (shape.H / shape.G);
    return static_cast<std::size_t>(std::lower_bound(table, table + shape.H, g) - table);
  }
};

}  // namespace headwise
