// The steps of an unnormalised softmax of one row of scores in base 2 (multiplied by log2 e), in place. Two vectors
// side by side hide the latency of the sums; four, or exponentials in lockstep, were no faster.
#pragma once

#include <cstddef>
#include <limits>

#include "kernels/exp2.hpp"

namespace headwise {

inline constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

// row[j] *= factor.   columns: a multiple of 8
inline void multiply_row(float* row, std::size_t columns, float factor) noexcept {
  for (std::size_t j = 0; j < columns; j += simd::kLanes) {
    simd::store(row + j, simd::load(row + j) * simd::splat(factor));
  }
}

// row[j] = (row[j] - subtrahend) * factor.   columns: a multiple of 8
inline void subtract_and_multiply_row(float* row, std::size_t columns, float subtrahend, float factor) noexcept {
  for (std::size_t j = 0; j < columns; j += simd::kLanes) {
    simd::store(row + j, (simd::load(row + j) - simd::splat(subtrahend)) * simd::splat(factor));
  }
}

// The largest of row[0 … columns), skipping NaN; -inf if there is none.   columns: a multiple of 8
inline float row_maximum(const float* row, std::size_t columns) noexcept {
  simd::Vec largest[simd::kTileVecs];
  for (auto& v : largest) v = simd::splat(kNegativeInfinity);
  for (std::size_t j = 0; j < columns; j += simd::kTile) {
    for (std::size_t v = 0; v < simd::kTileVecs; ++v) {
      largest[v] = simd::max_skipping_nan(largest[v], simd::load(row + j + v * simd::kLanes));
    }
  }
  for (std::size_t v = 1; v < simd::kTileVecs; ++v) largest[0] = simd::max_skipping_nan(largest[0], largest[v]);
  return simd::reduce_max(largest[0]);
}

// row[j] = 2^(row[j] - maximum); returns their sum.   columns: a multiple of 8; maximum: finite, or the row becomes NaN
inline float row_exp2(float* row, std::size_t columns, float maximum, const simd::Exp2& exp2) noexcept {
  const simd::Vec offset = simd::splat(maximum);
  simd::Vec sum[simd::kTileVecs];
  for (auto& v : sum) v = simd::splat(0.0f);
  for (std::size_t j = 0; j < columns; j += simd::kTile) {
    for (std::size_t v = 0; v < simd::kTileVecs; ++v) {
      float* at = row + j + v * simd::kLanes;
      const simd::Vec value = exp2(simd::load(at) - offset);
      simd::store(at, value);
      sum[v] = sum[v] + value;
    }
  }
  for (std::size_t v = 1; v < simd::kTileVecs; ++v) sum[0] = sum[0] + sum[v];
  return simd::reduce_add(sum[0]);
}

}  // namespace headwise
