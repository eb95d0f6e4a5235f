// The dimension letters, used with these meanings in every comment:
//   B batch, H query heads, G key/value heads, L query length, S key length, D head width, Dv value head width,
//   E model width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace headwise {

struct AttentionShape {
  std::size_t B, H, G, L, S, D, Dv;
};

// Which key/value head each query head reads (grouped-query attention, Ainslie et al. 2023): heads in order, none of
// the G left out. Even groups unless a table says otherwise.
struct KvHeads {
  const std::uint32_t* table = nullptr;  // [H], ascending; null: floor(h * G / H)

  std::size_t of(std::size_t h, const AttentionShape& shape) const noexcept {
    return table == nullptr ? h / (shape.H / shape.G) : table[h];
  }
  // Query heads of the groups before g: group g has heads [first_query(g), first_query(g + 1)).
  std::size_t first_query(std::size_t g, const AttentionShape& shape) const noexcept {
    if (table == nullptr) return shape.G == 0 ? 0 : g * (shape.H / shape.G);
    std::size_t h = 0;
    while (h < shape.H && table[h] < g) ++h;
    return h;
  }
};

// Floats of one head, wherever its rows lie: element (b, h, i, d) is data[b * batch + h * head + i * row + d].
// One view serves [B, H, L, D] (heads first) and [B, L, H*D] (heads in rows).
template <class Float>
struct HeadView {
  Float* data;
  std::size_t batch, head, row;  // strides in floats

  operator HeadView<const Float>() const requires(!std::is_const_v<Float>) { return {data, batch, head, row}; }

  Float* at(std::size_t b, std::size_t h, std::size_t i) const { return data + b * batch + h * head + i * row; }

  static HeadView heads_first(Float* data, std::size_t heads, std::size_t length, std::size_t width) {
    return {data, heads * length * width, length * width, width};
  }
  static HeadView heads_in_rows(Float* data, std::size_t heads, std::size_t length, std::size_t width) {
    return {data, length * heads * width, width, heads * width};
  }
};

}  // namespace headwise
