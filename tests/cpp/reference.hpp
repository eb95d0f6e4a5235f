// The oracle of the C++ tests: random data, and attention computed naively in any precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace headwise::test {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

using Floats = std::vector<float>;

inline Floats random_floats(std::size_t count, std::uint32_t seed, float spread = 1.0f) {
  std::mt19937 generator(seed);
  Floats values(count);
  for (float& v : values) v = (static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f) * spread;
  return values;
}

// softmax(softcap(scale * q k^T) + bias) v for one head, term by term, in precision T; rows that see no key are zeros.
// q: [L, D], k: [S, D], v: [S, Dv]; visible(i, j) and bias(i, j) say what the masks do; softcap 0: none.
template <class T>
struct NaiveHead {
  std::vector<T> output;                           // [L, Dv]
  std::vector<T> scores, capped, masked, weights;  // [L, S] each
};
template <class T, class Q, class Visible, class Bias>
NaiveHead<T> naive_head(const std::vector<Q>& q, const std::vector<Q>& k, const std::vector<Q>& v, std::size_t L,
                        std::size_t S, std::size_t D, std::size_t Dv, T scale, const Visible& visible, const Bias& bias,
                        T softcap = 0) {
  const std::vector<T> minus_infinity(L * S, -std::numeric_limits<T>::infinity());
  NaiveHead<T> head{std::vector<T>(L * Dv), minus_infinity, minus_infinity, minus_infinity, std::vector<T>(L * S)};
  for (std::size_t i = 0; i < L; ++i) {
    bool any = false;
    T maximum = -std::numeric_limits<T>::infinity(), sum = 0;
    for (std::size_t j = 0; j < S; ++j) {
      T dot = 0;
      for (std::size_t d = 0; d < D; ++d) dot += static_cast<T>(q[i * D + d]) * static_cast<T>(k[j * D + d]);
      const T score = head.scores[i * S + j] = dot * scale;
      const T capped = head.capped[i * S + j] = softcap > 0 ? softcap * std::tanh(score / softcap) : score;
      if (!visible(i, j)) continue;
      any = true;
      maximum = std::max(maximum, head.masked[i * S + j] = capped + static_cast<T>(bias(i, j)));
    }
    if (!any) continue;
    for (std::size_t j = 0; j < S; ++j) {
      if (visible(i, j)) sum += head.weights[i * S + j] = std::exp(head.masked[i * S + j] - maximum);
    }
    for (std::size_t j = 0; j < S; ++j) {
      if (!visible(i, j)) continue;
      head.weights[i * S + j] /= sum;
      for (std::size_t n = 0; n < Dv; ++n) {
        head.output[i * Dv + n] += head.weights[i * S + j] * static_cast<T>(v[j * Dv + n]);
      }
    }
  }
  return head;
}

// [heads, rows, width] of head h out of [rows, heads * width].
template <class T>
std::vector<T> slice_head(const std::vector<T>& x, std::size_t first_row, std::size_t rows, std::size_t heads,
                          std::size_t h, std::size_t width) {
  std::vector<T> head(rows * width);
  for (std::size_t i = 0; i < rows; ++i) {
    std::copy_n(x.begin() + ((first_row + i) * heads + h) * width, width, head.begin() + i * width);
  }
  return head;
}

}  // namespace headwise::test
