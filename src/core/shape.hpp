// The dimension letters, used with these meanings in every comment:
//   B batch, H query heads, G key/value heads, L query length, S key length, D head width, Dv value head width,
//   E model width.
#pragma once

#include <cstddef>
#include <type_traits>

namespace headwise {

// The rows of one tensor of heads, with any strides: element (b, h, i, d) is data[b * batch + h * head + i * row + d].
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
