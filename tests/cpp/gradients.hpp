// The oracle of the gradients: attention's, in double precision, term by term; and the rule by which gradients pass.
#pragma once

#include "support.hpp"

namespace headwise::test {

using Doubles = std::vector<double>;

// At most 1e-4 of the largest gradient (or of `largest`), and 1e-6.
inline void check_gradient(const float* ours, const Doubles& exact, double largest = 0) {
  double error = 0;
  for (std::size_t n = 0; n < exact.size(); ++n) {
    REQUIRE_FALSE(std::isnan(ours[n]));
    error = std::max(error, std::abs(ours[n] - exact[n]));
    largest = std::max(largest, std::abs(exact[n]));
  }
  CHECK(error <= 1e-4 * largest + 1e-6);
}

// What dropout multiplies weight (b, h, i, j) with: the hash, written down a second time.
inline double dropout_factor(const Dropout& dropout, std::size_t b, std::size_t h, std::size_t i, std::size_t j) {
  const auto mix = [](std::uint32_t x) {
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
  };
  const auto times_step = [](std::size_t n) { return static_cast<std::uint32_t>(n) * 0x9e3779b9u; };
  std::uint32_t key = dropout.seed;
  for (const std::size_t index : {b, h, i}) key = mix(key + times_step(index));
  const double uniform = (mix(key + times_step(j)) >> 8) * 0x1p-24;
  return uniform < dropout.rate ? 0.0 : 1.0 / (1.0 - static_cast<double>(dropout.rate));
}

// One head with all that its weights depend on: visible(i, j), bias(i, j), factor(i, j) of dropout. A loss is any
// function of output and weights; grad_output [L, Dv] and grad_weights [L, S] (or empty) are its gradients.
template <class Visible, class Bias, class Factor>
struct HeadOracle {
  std::size_t L, S, D, Dv;
  double scale, softcap;
  Visible visible;
  Bias bias;
  Factor factor;

  struct Gradients {
    Doubles q, k, v;
  };

  // Probabilities, and the output with dropout.
  std::pair<Doubles, Doubles> forward(const Doubles& q, const Doubles& k, const Doubles& v) const {
    const auto head = naive_head<double>(q, k, v, L, S, D, Dv, scale, visible, bias, softcap);
    Doubles output(L * Dv);
    for (std::size_t i = 0; i < L; ++i) {
      for (std::size_t j = 0; j < S; ++j) {
        const double weight = head.weights[i * S + j] * factor(i, j);
        for (std::size_t n = 0; n < Dv; ++n) output[i * Dv + n] += weight == 0 ? 0 : weight * v[j * Dv + n];
      }
    }
    return {head.weights, output};
  }

  Gradients backward(const Doubles& q, const Doubles& k, const Doubles& v, const Doubles& grad_output,
                     const Doubles& grad_weights) const {
    const auto head = naive_head<double>(q, k, v, L, S, D, Dv, scale, visible, bias, softcap);
    Gradients grad{Doubles(L * D), Doubles(S * D), Doubles(S * Dv)};
    for (std::size_t i = 0; i < L; ++i) {
      Doubles grad_row(S);  // of the weights
      double mean = 0;
      for (std::size_t j = 0; j < S; ++j) {
        const double weight = head.weights[i * S + j];
        if (weight == 0) continue;
        for (std::size_t n = 0; n < Dv; ++n) {
          const double g = grad_output[i * Dv + n];
          grad.v[j * Dv + n] += weight * factor(i, j) * g;
          if (factor(i, j) != 0) grad_row[j] += factor(i, j) * g * v[j * Dv + n];
        }
        if (!grad_weights.empty()) grad_row[j] += grad_weights[i * S + j];
        mean += weight * grad_row[j];
      }
      for (std::size_t j = 0; j < S; ++j) {
        const double weight = head.weights[i * S + j];
        if (weight == 0) continue;
        double slope = weight * (grad_row[j] - mean) * scale;
        if (softcap > 0) slope /= std::pow(std::cosh(head.scores[i * S + j] / softcap), 2);
        for (std::size_t d = 0; d < D; ++d) {
          grad.q[i * D + d] += slope * k[j * D + d];
          grad.k[j * D + d] += slope * q[i * D + d];
        }
      }
    }
    return grad;
  }

  double loss(const Doubles& q, const Doubles& k, const Doubles& v, const Doubles& grad_output,
              const Doubles& grad_weights) const {
    const auto [weights, output] = forward(q, k, v);
    double sum = 0;
    for (std::size_t n = 0; n < output.size(); ++n) sum += output[n] * grad_output[n];
    for (std::size_t n = 0; n < grad_weights.size(); ++n) sum += weights[n] * grad_weights[n];
    return sum;
  }
};
template <class... Types>
HeadOracle(std::size_t, std::size_t, std::size_t, std::size_t, double, double, Types...) -> HeadOracle<Types...>;

// (f(x + h) - f(x - h)) / 2h for each number of x, which is put back.
template <class Fn>
Doubles central_differences(Doubles& x, const Fn& f, double step = 1e-5) {
  Doubles slopes(x.size());
  for (std::size_t n = 0; n < x.size(); ++n) {
    const double at = x[n];
    x[n] = at + step;
    const double above = f();
    x[n] = at - step;
    slopes[n] = (above - f()) / (2 * step);
    x[n] = at;
  }
  return slopes;
}

inline void check_differences(const Doubles& exact, const Doubles& differences) {
  double largest = 0;
  for (const double value : exact) largest = std::max(largest, std::abs(value));
  for (std::size_t n = 0; n < exact.size(); ++n) {
    CHECK(std::abs(exact[n] - differences[n]) <= 1e-7 * std::max(largest, 1.0));
  }
}

}  // namespace headwise::test
