// Masks of every type and rank as rows of floats to add to the scores; -inf masks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace headwise {

enum class MaskType : int { kNone = 0, kFloat = 1, kUint8 = 2, kInt32 = 3, kInt64 = 4 };

// A mask that broadcasts to [B, H, L, S]: each extent is the full one or 1. If the last extent is between 1 and S, the
// keys beyond it are masked.
class Mask {
 public:
  Mask() = default;
  Mask(MaskType type, const void* data, const std::array<std::size_t, 4>& extents);

  bool empty() const { return type_ == MaskType::kNone; }
  // Whether all queries of a head share one row.
  bool same_for_all_queries() const { return stride_[2] == 0; }
  // The same mask read from a copy of its memory, of `bytes`.
  std::size_t bytes() const { return bytes_; }
  const void* data() const { return data_; }
  Mask copied_to(const void* data) const {
    Mask mask = *this;
    mask.data_ = data;
    return mask;
  }
  // Keys from here on are masked.
  std::size_t columns() const { return columns_; }

  // The row of query i as floats, valid in [begin, end): the mask's own memory, or `scratch` ([end]) filled with it.
  // Null for an empty mask.
  const float* bias_row(std::size_t b, std::size_t h, std::size_t i, std::size_t begin, std::size_t end,
                        float* scratch) const noexcept;
  // Sets to -inf what batch row b of a mask of bytes masks in [begin, end) of a row of floats.
  void mask_row(std::size_t b, std::size_t begin, std::size_t end, float* row) const noexcept;

 private:
  MaskType type_ = MaskType::kNone;
  const void* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::array<std::size_t, 4> stride_{};  // in elements; 0 along an axis that broadcasts
  std::size_t columns_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace headwise
