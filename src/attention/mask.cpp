#include "attention/mask.hpp"

#include <algorithm>

#include "kernels/softmax.hpp"

namespace headwise {
namespace {

template <class Integer>
void integers_to_bias(const Integer* row, std::size_t stride, std::size_t begin, std::size_t end,
                      float* bias) noexcept {
  for (std::size_t j = begin; j < end; ++j) bias[j] = row[j * stride] != 0 ? 0.0f : kNegativeInfinity;
}

}  // namespace

Mask::Mask(MaskType type, const void* data, const std::array<std::size_t, 4>& extents) : type_(type), data_(data) {
  std::size_t stride = 1;
  for (std::size_t axis = 4; axis-- > 0;) {
    stride_[axis] = extents[axis] == 1 ? 0 : stride;
    stride *= extents[axis];
  }
  constexpr std::size_t kSizes[] = {0, 4, 1, 4, 8};
  bytes_ = stride * kSizes[static_cast<int>(type)];
  if (type != MaskType::kNone && extents[3] != 1) columns_ = extents[3];
}

const float* Mask::bias_row(std::size_t b, std::size_t h, std::size_t i, std::size_t begin, std::size_t end,
                            float* scratch) const noexcept {
  const std::size_t start = b * stride_[0] + h * stride_[1] + i * stride_[2];
  const std::size_t stride = stride_[3];
  end = std::min(end, columns_);
  switch (type_) {
    case MaskType::kNone:
      return nullptr;
    case MaskType::kFloat: {
      const float* row = static_cast<const float*>(data_) + start;
      if (stride == 1) return row;
      std::fill(scratch + begin, scratch + end, *row);
      return scratch;
    }
    case MaskType::kUint8:
      integers_to_bias(static_cast<const std::uint8_t*>(data_) + start, stride, begin, end, scratch);
      return scratch;
    case MaskType::kInt32:
      integers_to_bias(static_cast<const std::int32_t*>(data_) + start, stride, begin, end, scratch);
      return scratch;
    case MaskType::kInt64:
      integers_to_bias(static_cast<const std::int64_t*>(data_) + start, stride, begin, end, scratch);
      return scratch;
  }
  return nullptr;
}

void Mask::mask_row(std::size_t b, std::size_t begin, std::size_t end, float* row) const noexcept {
  const auto* keep = static_cast<const std::uint8_t*>(data_) + b * stride_[0];
  for (std::size_t j = begin; j < end; ++j) {
    if (keep[j * stride_[3]] == 0) row[j] = kNegativeInfinity;
  }
}

}  // namespace headwise
