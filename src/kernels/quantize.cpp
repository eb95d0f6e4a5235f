#include "kernels/quantize.hpp"

#include <bit>
#include <limits>

#include "kernels/simd_integers.hpp"
#include "kernels/vectors.hpp"

namespace headwise {

float largest_magnitude(const float* row, std::size_t count) noexcept {
  simd::Sums most(0);
  simd::for_each_vector(
      count, [&](std::size_t k, auto part) { most = simd::max(most, simd::magnitude(simd::load(row + k, part))); });
  return std::bit_cast<float>(simd::reduce_max(most));
}

Quantizer quantizer_of(float largest, std::size_t most) noexcept {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (!(largest < kInfinity)) return {std::numeric_limits<float>::quiet_NaN(), 0.0f};
  if (largest < 0x1p-100f) return {0.0f, 0.0f};
  const auto levels = static_cast<float>(most);
  return {largest / levels, levels / largest};
}

void quantize(const float* row, std::size_t count, const Quantizer& quantizer, std::int16_t* to) noexcept {
  if (quantizer.inverse == 0.0f) {
    std::fill_n(to, count, std::int16_t{0});
    return;
  }
  const simd::Vec inverse = simd::splat(quantizer.inverse);
  const auto two = [&](const float* from, std::int16_t* integers) {
    simd::store_narrow(integers, simd::round(simd::load(from) * inverse),
                       simd::round(simd::load(from + simd::kLanes) * inverse));
  };
  std::size_t k = 0;
  for (; k + simd::kShorts <= count; k += simd::kShorts) two(row + k, to + k);
  if (k == count) return;
  float rest[simd::kShorts] = {};
  std::int16_t integers[simd::kShorts];
  std::copy_n(row + k, count - k, rest);
  two(rest, integers);
  std::copy_n(integers, count - k, to + k);
}

}  // namespace headwise
