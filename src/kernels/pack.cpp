#include "kernels/pack.hpp"

#include <algorithm>

namespace headwise {

void pack_rows(const float* rows, std::size_t row, std::size_t n_count, std::size_t depth, float scale,
               float* packed) noexcept {
  for (std::size_t n = 0; n < n_count; n += simd::kTile, packed += simd::kTile * depth) {
    const std::size_t lanes = std::min(simd::kTile, n_count - n);
    if (lanes < simd::kTile) std::fill(packed, packed + simd::kTile * depth, 0.0f);
    std::size_t k = 0;  // squares first, then the rest of a row
    if (lanes == simd::kTile) {
      const auto squares = [&](std::size_t count) {
        for (std::size_t v = 0; v < simd::kTile; v += simd::kLanes) {
          simd::transpose_scaled(rows + (n + v) * row + k, row, scale, packed + k * simd::kTile + v, simd::kTile,
                                 count);
        }
      };
      for (; k + simd::kLanes <= depth; k += simd::kLanes) squares(simd::kLanes);
      // A square may reach into the next row, if there is one.
      if (k < depth && (n_count - n - simd::kTile) * row >= simd::kLanes) {
        squares(depth - k);
        k = depth;
      }
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const float* from = rows + (n + lane) * row;
      float* to = packed + lane;
      for (std::size_t d = k; d < depth; ++d) to[d * simd::kTile] = from[d] * scale;
    }
  }
}

void unpack_rows(const float* packed, std::size_t n_count, std::size_t depth, float* rows) noexcept {
  for (std::size_t n = 0; n < n_count; ++n) {
    const float* from = packed + n / simd::kTile * simd::kTile * depth + n % simd::kTile;
    for (std::size_t k = 0; k < depth; ++k) rows[n * depth + k] = from[k * simd::kTile];
  }
}

namespace {

// packed[j][0 … 8) = rows[j][0 … lanes), padded with zeros, for one panel of fewer than 8 columns.
void pack_narrow_panel(const float* rows, std::size_t row, std::size_t depth, std::size_t lanes,
                       float* packed) noexcept {
  // Whole vectors, which may reach into the next row, but not beyond the last row.
  const std::size_t reach = (simd::kTile - lanes + row - 1) / std::max<std::size_t>(row, 1);
  const std::size_t whole = depth - std::min(reach, depth);
  for (std::size_t v = 0; v < simd::kTile; v += simd::kLanes) {
    const simd::VecMask kept = simd::first_lanes(lanes - std::min(lanes, v));
    for (std::size_t j = 0; j < whole; ++j) {
      const simd::Vec values = simd::load(rows + j * row + v);
      simd::store(packed + j * simd::kTile + v, simd::select(kept, values, simd::splat(0.0f)));
    }
  }
  for (std::size_t j = whole; j < depth; ++j) {
    float* to = packed + j * simd::kTile;
    std::fill(std::copy_n(rows + j * row, lanes, to), to + simd::kTile, 0.0f);
  }
}

}  // namespace

bool pack_columns(const float* rows, std::size_t row, std::size_t depth, std::size_t n_count, float* packed) noexcept {
  simd::Vec poison = simd::splat(0.0f);  // 0 * value: NaN as soon as a value is infinite or NaN
  const simd::Vec zero = simd::splat(0.0f);
  for (std::size_t n = 0; n < n_count; n += simd::kTile, packed += simd::kTile * depth) {
    const bool narrow = n + simd::kTile > n_count;
    if (narrow) pack_narrow_panel(rows + n, row, depth, n_count - n, packed);
    for (std::size_t j = 0; j < depth; ++j) {
      const float* from = narrow ? packed + j * simd::kTile : rows + j * row + n;
      for (std::size_t v = 0; v < simd::kTile; v += simd::kLanes) {
        const simd::Vec values = simd::load(from + v);
        simd::store(packed + j * simd::kTile + v, values);
        poison = simd::fma(values, zero, poison);
      }
    }
  }
  return simd::reduce_add(poison) == 0.0f;
}

bool copy_rows(const float* from, std::size_t from_row, std::size_t rows, std::size_t columns, float* to,
               std::size_t to_row) noexcept {
  const simd::Vec zero = simd::splat(0.0f);
  simd::Vec poison = zero;  // as above
  float poison_of_tails = 0.0f;
  for (std::size_t r = 0; r < rows; ++r, from += from_row, to += to_row) {
    std::size_t n = 0;
    for (; n + simd::kLanes <= columns; n += simd::kLanes) {
      const simd::Vec values = simd::load(from + n);
      simd::store(to + n, values);
      poison = simd::fma(values, zero, poison);
    }
    for (; n < columns; ++n) poison_of_tails += 0.0f * (to[n] = from[n]);
  }
  return simd::reduce_add(poison) + poison_of_tails == 0.0f;
}

}  // namespace headwise
