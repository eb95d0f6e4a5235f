// Which keys each query may attend to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "attention/mask.hpp"
#include "kernels/softmax.hpp"

namespace headwise {

struct Visibility {
  Mask mask;
  bool causal = false;                        // key j is visible to query i iff j <= i + offset
  std::int64_t offset = 0;                    // where query 0 stands among the keys
  const std::int32_t* key_lengths = nullptr;  // [B] valid keys; null: all

  // Query i of batch row b sees no key outside [0, key_end), whatever the mask says. Grows with i.
  std::size_t key_end(std::size_t b, std::size_t i, std::size_t S) const noexcept {
    std::int64_t end = static_cast<std::int64_t>(S);
    if (key_lengths != nullptr) end = std::min<std::int64_t>(end, key_lengths[b]);
    if (causal) end = std::min(end, static_cast<std::int64_t>(i) + offset + 1);
    return static_cast<std::size_t>(std::max<std::int64_t>(end, 0));
  }

  // How many keys query i sees. `scratch`: [S]
  std::size_t visible_keys(std::size_t b, std::size_t h, std::size_t i, std::size_t S, float* scratch) const noexcept {
    const std::size_t end = key_end(b, i, S);
    const float* bias = mask.bias_row(b, h, i, end, scratch);
    if (bias == nullptr) return end;
    return end - static_cast<std::size_t>(std::count(bias, bias + end, kNegativeInfinity));
  }
};

}  // namespace headwise
