// Which keys each query may attend to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "attention/mask.hpp"
#include "kernels/softmax.hpp"

namespace headwise {

// How far queries see to either side, in keys; kOpen: no limit.
struct Window {
  static constexpr std::int64_t kOpen = std::int64_t{1} << 62;
  std::int64_t left = kOpen, right = kOpen;
};

// Bounds of what the queries of one batch row see: query i sees no key outside [begin(i), end(i)). Both grow with i.
class KeyRange {
 public:
  // begin(i) = i + begin, end(i) = i + end, within [0, keys]
  KeyRange(std::int64_t begin, std::int64_t end, std::size_t keys)
      : begin_(begin), end_(end), keys_(static_cast<std::int64_t>(keys)), open_(begin < -kFar && end > kFar) {}

  std::size_t begin(std::size_t i) const noexcept { return open_ ? 0 : std::min(within(begin_, i), end(i)); }
  std::size_t end(std::size_t i) const noexcept { return open_ ? static_cast<std::size_t>(keys_) : within(end_, i); }

 private:
  static constexpr std::int64_t kFar = Window::kOpen / 2;

  std::size_t within(std::int64_t bound, std::size_t i) const noexcept {
    return static_cast<std::size_t>(std::clamp<std::int64_t>(bound + static_cast<std::int64_t>(i), 0, keys_));
  }

  std::int64_t begin_, end_, keys_;
  bool open_;  // the same for all queries: saves 3 % where rows are short
};

// The keys that one query sees: those in [begin, end) that the mask, if there is one, does not exclude.
struct VisibleKeys {
  std::size_t begin, end;
  const float* bias;  // valid in [begin, end); null: no mask

  bool contains(std::int64_t j) const noexcept {
    return j >= static_cast<std::int64_t>(begin) && j < static_cast<std::int64_t>(end) &&
           (bias == nullptr || bias[j] != kNegativeInfinity);
  }
  std::size_t count() const noexcept {
    if (bias == nullptr) return end - begin;
    return end - begin - static_cast<std::size_t>(std::count(bias + begin, bias + end, kNegativeInfinity));
  }
};

struct Visibility {
  Mask mask;
  bool causal = false;                        // key j is visible to query i iff j <= i + offset
  Window window;                              // and iff i + offset - left <= j <= i + offset + right
  const std::int32_t* offsets = nullptr;      // [B], position of query 0 among the keys; null: 0
  const std::int32_t* key_lengths = nullptr;  // [B] valid keys; null: all
  Mask key_mask{};                            // [B or 1, 1, 1, S] of bytes: masks keys of a batch row beside `mask`

  // Position of query 0 of batch row b among the keys.
  std::int64_t offset(std::size_t b) const noexcept { return offsets == nullptr ? 0 : offsets[b]; }

  // The keys that everything except the masks allows.
  KeyRange key_range(std::size_t b, std::size_t S) const noexcept {
    std::size_t keys = std::min(S, mask.columns());
    if (key_lengths != nullptr) keys = std::min(keys, static_cast<std::size_t>(std::max(key_lengths[b], 0)));
    const std::int64_t right = causal ? std::min<std::int64_t>(window.right, 0) : window.right;
    return {offset(b) - window.left, offset(b) + right + 1, keys};
  }

  // Both masks as a row of floats to add to the scores of query i, as Mask::bias_row gives it. `scratch`: [S]
  const float* bias_row(std::size_t b, std::size_t h, std::size_t i, std::size_t begin, std::size_t end,
                        float* scratch) const noexcept {
    if (mask.empty()) return key_mask.bias_row(b, 0, 0, begin, end, scratch);
    const float* row = mask.bias_row(b, h, i, begin, end, scratch);
    if (key_mask.empty()) return row;
    if (row != scratch) std::copy(row + begin, row + end, scratch + begin);
    key_mask.mask_row(b, begin, end, scratch);
    return scratch;
  }

  // `scratch`: [S], which the result may point to
  VisibleKeys visible_keys(std::size_t b, std::size_t h, std::size_t i, std::size_t S, float* scratch) const noexcept {
    const KeyRange range = key_range(b, S);
    const std::size_t begin = range.begin(i), end = range.end(i);
    return {begin, end, bias_row(b, h, i, begin, end, scratch)};
  }
};

}  // namespace headwise
