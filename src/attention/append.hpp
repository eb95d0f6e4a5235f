// Keys and values of earlier tokens, with those of new tokens appended.
#pragma once

#include <algorithm>
#include <cstddef>

#include "attention/scaled_dot_product.hpp"

namespace headwise {

// to[b, g, at + j] = from[b, g, j] for the `count` rows of each of `heads` heads of batch row b.
inline void append_rows(const HeadView<const float>& from, std::size_t b, std::size_t heads, std::size_t count,
                        std::size_t width, const HeadView<float>& to, std::size_t at) noexcept {
  for (std::size_t g = 0; g < heads; ++g) {
    for (std::size_t j = 0; j < count; ++j) std::copy_n(from.at(b, g, j), width, to.at(b, g, at + j));
  }
}

// The past of a call without a cache.
struct Past {
  std::size_t length;                          // P
  HeadView<const float> key, value;            // [B, G, P, D], [B, G, P, Dv]
  HeadView<float> present_key, present_value;  // [B, G, S, D], [B, G, S, Dv], to be written: past, then new
};

// Writes the present, and replaces the keys and values of `args`, the S - P new ones, by it.
inline void append_to_past(const Past& past, AttentionArgs& args) noexcept {
  const AttentionShape& s = args.shape;
  if (s.S == 0) return;  // for any number of batch rows
  for (std::size_t b = 0; b < s.B; ++b) {
    append_rows(past.key, b, s.G, past.length, s.D, past.present_key, 0);
    append_rows(args.key, b, s.G, s.S - past.length, s.D, past.present_key, past.length);
    append_rows(past.value, b, s.G, past.length, s.Dv, past.present_value, 0);
    append_rows(args.value, b, s.G, s.S - past.length, s.Dv, past.present_value, past.length);
  }
  args.key = past.present_key;
  args.value = past.present_value;
}

}  // namespace headwise
