// Rows of any length, one vector at a time. In the last vector of a row only the first lanes count. It passes through
// memory, so this is for loops that compute; copying and filling are as fast with a scalar tail.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/simd.hpp"

namespace headwise::simd {

struct Whole {};
struct Part {
  std::size_t lanes;  // only these first lanes count
};

inline Vec load(const float* from, Whole) noexcept { return load(from); }
inline void store(float* to, Vec v, Whole) noexcept { store(to, v); }
inline Vec zero_rest(Vec v, Whole) noexcept { return v; }

// Padded with zeros.
inline Vec load(const float* from, Part part) noexcept {
  alignas(64) float lane[kLanes] = {};
  std::copy_n(from, part.lanes, lane);
  return load(lane);
}
inline void store(float* to, Vec v, Part part) noexcept {
  alignas(64) float lane[kLanes];
  store(lane, v);
  std::copy_n(lane, part.lanes, to);
}
inline Vec zero_rest(Vec v, Part part) noexcept { return select(first_lanes(part.lanes), v, splat(0.0f)); }

// Calls fn(n, Whole()) for each whole vector of `count` elements, and fn(n, Part) for the rest.
template <class Fn>
inline void for_each_vector(std::size_t count, const Fn& fn) noexcept {
  std::size_t n = 0;
  for (; n + kLanes <= count; n += kLanes) fn(n, Whole());
  if (n < count) fn(n, Part{count - n});
}

inline void fill(float* to, std::size_t count, float value) noexcept {
  std::size_t n = 0;
  for (; n + kLanes <= count; n += kLanes) store(to + n, splat(value));
  for (; n < count; ++n) to[n] = value;
}

}  // namespace headwise::simd
