// The SIMD vocabulary of floats. This file and simd_integers.hpp are the only ones that name intrinsics. Everything
// else is written on their functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

namespace headwise::simd {

using Vec = xsimd::batch<float>;
using VecMask = xsimd::batch_bool<float>;

inline constexpr std::size_t kLanes = Vec::size;
// Columns of a tile. With 8, 6 rows of accumulators (12 vectors of 4) stay in the registers of V8's newer compiler
// (tile.hpp); with 16 they spill.
inline constexpr std::size_t kTile = 8;
inline constexpr std::size_t kTileVecs = kTile / kLanes;
static_assert(kTile % kLanes == 0, "a tile is a whole number of vectors: at most 8 lanes");

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
constexpr std::size_t tiles(std::size_t columns) { return (columns + kTile - 1) / kTile; }

// A number in BF16: the upper half of a float.
enum class Bf16 : std::uint16_t {};

inline Vec load(const float* from) noexcept { return Vec::load_unaligned(from); }
inline void store(float* to, Vec v) noexcept { v.store_unaligned(to); }
inline Vec splat(float value) noexcept { return Vec(value); }

// One row of a packed panel.
inline void load_panel_row(const float* from, Vec (&to)[kTileVecs]) noexcept {
  for (std::size_t v = 0; v < kTileVecs; ++v) to[v] = load(from + v * kLanes);
}
// The order of BF16 numbers in a row of a panel: 0 4 1 5 2 6 3 7. A shift widens one half of them, a mask the other.
// With a widening load for each half, in the common order, one row took 1.25 times as long (V8 of Node 24).
constexpr std::size_t bf16_place(std::size_t n) { return n % 4 * 2 + n / 4; }
inline void load_panel_row(const Bf16* from, Vec (&to)[kTileVecs]) noexcept {
  if constexpr (kLanes == 4) {
    const auto both = xsimd::batch<std::uint32_t>::load_unaligned(reinterpret_cast<const std::uint32_t*>(from));
    to[0] = xsimd::bitwise_cast<float>(both << 16);
    to[1] = xsimd::bitwise_cast<float>(both & xsimd::batch<std::uint32_t>(0xffff0000));
  } else {
    alignas(64) std::uint32_t lane[kTile];
    for (std::size_t n = 0; n < kTile; ++n) lane[n] = static_cast<std::uint32_t>(from[bf16_place(n)]) << 16;
    for (std::size_t v = 0; v < kTileVecs; ++v) {
      to[v] = xsimd::bitwise_cast<float>(xsimd::batch<std::uint32_t>::load_aligned(lane + v * kLanes));
    }
  }
}

// a * b + c. Fused in the relaxed build, which neither the compiler nor xsimd's wasm `fma` would do by itself.
inline Vec fma(Vec a, Vec b, Vec c) noexcept {
#if defined(__wasm_relaxed_simd__)
  return wasm_f32x4_relaxed_madd(a, b, c);
#elif defined(__wasm_simd128__)
  return a * b + c;
#else
  return xsimd::fma(a, b, c);
#endif
}

// The larger lane; `a` where `b` is NaN, so that a running maximum `a` skips NaN. `pmax` costs 0.6 of `max`.
inline Vec max_skipping_nan(Vec a, Vec b) noexcept {
#if defined(__wasm_simd128__)
  return wasm_f32x4_pmax(a, b);
#else
  return xsimd::select(a < b, b, a);
#endif
}

inline Vec select(VecMask condition, Vec yes, Vec no) noexcept { return xsimd::select(condition, yes, no); }

inline Vec abs(Vec v) noexcept { return xsimd::abs(v); }
inline Vec sqrt(Vec v) noexcept { return xsimd::sqrt(v); }

// cap * tanh(v / cap)
inline Vec softcap(Vec v, float cap) noexcept { return splat(cap) * xsimd::tanh(v / splat(cap)); }

// first, first + 1, …
inline Vec iota(float first) noexcept {
  alignas(64) float lane[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) lane[i] = first + static_cast<float>(i);
  return Vec::load_aligned(lane);
}

// True in the first `count` lanes. `count` may exceed the number of lanes.
inline VecMask first_lanes(std::size_t count) noexcept { return iota(0.0f) < splat(static_cast<float>(count)); }

inline float reduce_max(Vec v) noexcept {
  alignas(64) float lane[kLanes];
  v.store_aligned(lane);
  float largest = lane[0];
  for (std::size_t i = 1; i < kLanes; ++i) largest = largest < lane[i] ? lane[i] : largest;
  return largest;
}

inline float reduce_add(Vec v) noexcept {
  alignas(64) float lane[kLanes];
  v.store_aligned(lane);
  float sum = lane[0];
  for (std::size_t i = 1; i < kLanes; ++i) sum += lane[i];
  return sum;
}

// Lane n: the sum of the lanes of v[n], for kLanes vectors, which are overwritten.
inline Vec sum_each(Vec* v) noexcept {
  xsimd::transpose(v, v + kLanes);
  Vec sum = v[0];
  for (std::size_t i = 1; i < kLanes; ++i) sum = sum + v[i];
  return sum;
}

// to[k][n] = from[n][k] * scale for k < count of a square of kLanes x kLanes; from_row, to_row: strides. With it,
// packing keys took 4 % less of attention at head widths 32 and 64 than element by element.
inline void transpose_scaled(const float* from, std::size_t from_row, float scale, float* to, std::size_t to_row,
                             std::size_t count = kLanes) noexcept {
  Vec square[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) square[i] = load(from + i * from_row) * splat(scale);
  xsimd::transpose(square, square + kLanes);
  for (std::size_t i = 0; i < count; ++i) store(to + i * to_row, square[i]);
}

// Hides the origin of a pointer from the compiler. Vector constants that are read through it are loaded once before a
// loop. Literals would be rebuilt at each use, which halved the speed of the exponential in V8.
template <class T>
inline const T* opaque(const T* pointer) noexcept {
  asm volatile("" : "+r"(pointer));
  return pointer;
}

}  // namespace headwise::simd
