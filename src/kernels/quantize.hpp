// Rows of floats as integers: number = scale * integer, symmetric around 0. Every step rounds as IEEE says and nothing
// is fused, so the integers are the same in every build.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace headwise {

inline constexpr std::size_t kMaxWeight = 127;

// The largest integer that an activation may become: as many as 16 bits hold, or as many as 32 bits hold sums of
// `depth` products with any numbers of 8 bits. So no sum overflows: 15 bits and a sign up to a depth of 512, 12 of
// 3,072.
constexpr std::size_t max_activation(std::size_t depth) {
  return std::min<std::size_t>(INT16_MAX, INT32_MAX / (128 * std::max<std::size_t>(depth, 1)));
}
static_assert(max_activation(512) == INT16_MAX && max_activation(3072) == 5461);
static_assert(std::uint64_t{max_activation(3072)} * 128 * 3072 <= INT32_MAX);

// Numbers of a row are scale * integer.
struct Quantizer {
  float scale;
  float inverse;  // 0: all integers are 0
};

// The largest magnitude; infinity or NaN if one is among the numbers.
float largest_magnitude(const float* row, std::size_t count) noexcept;
// For a row whose largest number becomes `most`. Rows below 2^-100 become zeros, whose products no float would show.
// Where a number is infinite or NaN, the scale is NaN, and with it every product.
Quantizer quantizer_of(float largest, std::size_t most) noexcept;
// to[k] = the integer nearest to row[k] / scale, for k < count.
void quantize(const float* row, std::size_t count, const Quantizer& quantizer, std::int16_t* to) noexcept;

}  // namespace headwise
