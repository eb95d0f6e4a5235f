// Keys and values that are remembered: new rows behind those of earlier calls.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/shape.hpp"

namespace headwise {

// to[b, g, at + j] = from[b, g, j] for the `count` rows of each of `heads` heads of batch row b.
inline void append_rows(const HeadView<const float>& from, std::size_t b, std::size_t heads, std::size_t count,
                        std::size_t width, const HeadView<float>& to, std::size_t at) noexcept {
  for (std::size_t g = 0; g < heads; ++g) {
    for (std::size_t j = 0; j < count; ++j) std::copy_n(from.at(b, g, j), width, to.at(b, g, at + j));
  }
}

}  // namespace headwise
