// Products of a few vectors with the rows of a matrix that is not packed. Packing pays when many query rows read the
// packed copy; one to four query rows read it no more often than packing does. One query with 1,024 keys and 12 heads
// of 64 takes a fifth of the time with packing if the keys of each head are adjacent, as in a cache: it reads 55 GB/s,
// a plain read 95.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/simd.hpp"

namespace headwise {

// Rows that are read side by side, so that a vector (or a sum) is loaded once for all of them. With 8, V8 spills.
inline constexpr std::size_t kRowsAtOnce = simd::kLanes;

// products[j] = scale * (vector . rows[j]) for j < count.   rows: [count, width] with stride `row`
inline void dot_rows(const float* vector, const float* rows, std::size_t row, std::size_t count, std::size_t width,
                     float scale, float* products) noexcept {
  constexpr std::size_t kStep = 2 * simd::kLanes;  // two chains per row: one alone waits for its own sums
  const std::size_t whole = width / kStep * kStep;
  std::size_t j = 0;
  for (; j + kRowsAtOnce <= count; j += kRowsAtOnce) {
    const float* from = rows + j * row;
    simd::Vec even[kRowsAtOnce], odd[kRowsAtOnce];
    for (auto& sum : even) sum = simd::splat(0.0f);
    for (auto& sum : odd) sum = simd::splat(0.0f);
    for (std::size_t d = 0; d < whole; d += kStep) {
      const simd::Vec first = simd::load(vector + d), second = simd::load(vector + d + simd::kLanes);
      for (std::size_t n = 0; n < kRowsAtOnce; ++n) {
        const float* at = from + n * row + d;
        even[n] = simd::fma(first, simd::load(at), even[n]);
        odd[n] = simd::fma(second, simd::load(at + simd::kLanes), odd[n]);
      }
    }
    for (std::size_t n = 0; n < kRowsAtOnce; ++n) even[n] = even[n] + odd[n];
    simd::store(products + j, simd::sum_each(even) * simd::splat(scale));
    if (whole == width) continue;
    for (std::size_t n = 0; n < kRowsAtOnce; ++n) {
      for (std::size_t d = whole; d < width; ++d) products[j + n] += scale * vector[d] * from[n * row + d];
    }
  }
  for (; j < count; ++j) {
    float product = 0.0f;
    for (std::size_t d = 0; d < width; ++d) product += vector[d] * rows[j * row + d];
    products[j] = product * scale;
  }
}

// sum[n] += over j of weights[j] * rows[j][n].   rows: [count, width] with stride `row`
inline void add_weighted_rows(const float* weights, const float* rows, std::size_t row, std::size_t count,
                              std::size_t width, float* sum) noexcept {
  std::size_t j = 0;
  for (; j + kRowsAtOnce <= count; j += kRowsAtOnce) {
    const float* from = rows + j * row;
    simd::Vec weight[kRowsAtOnce];
    for (std::size_t r = 0; r < kRowsAtOnce; ++r) weight[r] = simd::splat(weights[j + r]);
    std::size_t n = 0;
    for (; n + simd::kLanes <= width; n += simd::kLanes) {
      simd::Vec total = simd::load(sum + n);
      for (std::size_t r = 0; r < kRowsAtOnce; ++r) total = simd::fma(weight[r], simd::load(from + r * row + n), total);
      simd::store(sum + n, total);
    }
    for (; n < width; ++n) {
      for (std::size_t r = 0; r < kRowsAtOnce; ++r) sum[n] += weights[j + r] * from[r * row + n];
    }
  }
  for (; j < count; ++j) {
    for (std::size_t n = 0; n < width; ++n) sum[n] += weights[j] * rows[j * row + n];
  }
}

// The same, leaving out the rows whose weight is 0, so that 0 times infinity or NaN adds nothing.
inline void add_weighted_rows_skipping_zeros(const float* weights, const float* rows, std::size_t row,
                                             std::size_t count, std::size_t width, float* sum) noexcept {
  for (std::size_t j = 0; j < count; ++j) {
    if (weights[j] == 0.0f) continue;
    for (std::size_t n = 0; n < width; ++n) sum[n] += weights[j] * rows[j * row + n];
  }
}

inline bool all_finite(const float* values, std::size_t count) noexcept {
  float poison = 0.0f;  // 0 * value: NaN as soon as a value is infinite or NaN
  for (std::size_t n = 0; n < count; ++n) poison += 0.0f * values[n];
  return poison == 0.0f;
}

inline bool all_zeros(const float* values, std::size_t count) noexcept {
  return std::all_of(values, values + count, [](float value) { return value == 0.0f; });
}

}  // namespace headwise
