// The SIMD vocabulary of integers, for products of numbers of 16 bits whose sums have 32.
#pragma once

#include <cstring>

#include "kernels/simd.hpp"

namespace headwise::simd {

using Sums = xsimd::batch<std::int32_t>;    // kLanes
using Shorts = xsimd::batch<std::int16_t>;  // 2 kLanes
inline constexpr std::size_t kShorts = Shorts::size;

// 2 kLanes numbers, widened.
inline Shorts load(const std::int8_t* from) noexcept {
#if defined(__wasm_simd128__)
  return wasm_i16x8_load8x8(from);
#else
  alignas(64) std::int16_t lane[kShorts];
  for (std::size_t i = 0; i < kShorts; ++i) lane[i] = from[i];
  return Shorts::load_aligned(lane);
#endif
}

// The same two numbers in every pair of lanes.
inline Shorts splat_pair(const std::int16_t* pair) noexcept {
#if defined(__wasm_simd128__)
  return wasm_v128_load32_splat(pair);
#else
  std::int32_t both;
  std::memcpy(&both, pair, sizeof both);
  return xsimd::bitwise_cast<std::int16_t>(Sums(both));
#endif
}

// sum[i] + a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1]
inline Sums dot_add(Shorts a, Shorts b, Sums sum) noexcept {
#if defined(__wasm_simd128__)
  return sum + Sums(wasm_i32x4_dot_i16x8(a, b));
#else
  const Sums x = xsimd::bitwise_cast<std::int32_t>(a), y = xsimd::bitwise_cast<std::int32_t>(b);
  return sum + ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
#endif
}

inline Vec to_float(Sums v) noexcept { return xsimd::to_float(v); }

// The nearest integers (of two, the even one); |v| < 2^22.
inline Sums round(Vec v) noexcept {
  constexpr float kMagic = 0x1.8p23f;  // the sum's last bit is worth 1
  return xsimd::bitwise_cast<std::int32_t>(v + splat(kMagic)) - Sums(0x4b400000);
}

// low[0], low[1], …, high[0], …, which 16 bits must hold.
inline void store_narrow(std::int16_t* to, Sums low, Sums high) noexcept {
#if defined(__wasm_simd128__)
  wasm_v128_store(to, wasm_i16x8_narrow_i32x4(low, high));
#else
  alignas(64) std::int32_t lane[kShorts];
  low.store_aligned(lane);
  high.store_aligned(lane + kLanes);
  for (std::size_t i = 0; i < kShorts; ++i) to[i] = static_cast<std::int16_t>(lane[i]);
#endif
}

// The bits of |v|: their order as integers is that of the numbers, with infinity above all, and NaN above infinity.
inline Sums magnitude(Vec v) noexcept { return xsimd::bitwise_cast<std::int32_t>(v) & Sums(0x7fffffff); }
inline Sums max(Sums a, Sums b) noexcept { return xsimd::max(a, b); }
inline std::int32_t reduce_max(Sums v) noexcept {
  alignas(64) std::int32_t lane[kLanes];
  v.store_aligned(lane);
  std::int32_t largest = lane[0];
  for (const std::int32_t value : lane) largest = largest < value ? value : largest;
  return largest;
}

}  // namespace headwise::simd
