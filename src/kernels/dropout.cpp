#include "kernels/dropout.hpp"

namespace headwise {

void DropoutRow::apply(float* row, std::size_t begin, std::size_t end, float factor) const noexcept {
  alignas(64) std::uint32_t lane[simd::kLanes];
  for (std::size_t n = 0; n < simd::kLanes; ++n) lane[n] = static_cast<std::uint32_t>(begin + n) * kStep + key_;
  Integers state = Integers::load_aligned(lane);
  const Integers step(static_cast<std::uint32_t>(simd::kLanes) * kStep);
  for (std::size_t j = begin; j < end; j += simd::kLanes, state = state + step) {
    const auto hash = xsimd::bitwise_cast<std::int32_t>(mix(state) >> 8);  // 24 bits
    const simd::VecMask kept = xsimd::batch_bool_cast<float>(hash >= xsimd::batch<std::int32_t>(rate_));
    simd::store(row + j, simd::select(kept, simd::load(row + j) * simd::splat(factor), simd::splat(0.0f)));
  }
}

}  // namespace headwise
