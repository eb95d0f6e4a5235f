// 2^x for x <= 0, the exponential of the softmax (log2 e is folded into the scores' scale).
#pragma once

#include "kernels/simd.hpp"

namespace headwise::simd {

// Rounds x to an integer n by adding a magic number, approximates 2^(x - n) on [-1/2, 1/2] by a polynomial of degree 5
// (relative error 1.7e-7) and multiplies by 2^n, made of n's bits. -inf gives exactly 0 and 0 exactly 1; NaN stays NaN
// (adding n to the result's exponent bits instead would make a number of a NaN with a payload).
// Folding an integer near the maximum into the magic number would make the subtraction of the maximum unnecessary and
// save 2 % of attention. But then the largest result would not be exactly 1, nor the sum of equal ones exact.
// Measured in V8: 0.54 ns per element with maximum, store and sum, against 5.5 ns with libm's expf.
class Exp2 {
 public:
  Exp2() noexcept {
    const float* c = opaque(kConstants);
    lowest_ = splat(c[0]);
    magic_ = splat(c[1]);
    c1_ = splat(c[2]);
    c2_ = splat(c[3]);
    c3_ = splat(c[4]);
    c4_ = splat(c[5]);
    c5_ = splat(c[6]);
    one_ = splat(c[7]);
  }

  Vec operator()(Vec x) const noexcept {
    x = max_skipping_nan(x, lowest_);  // as its first operand, NaN passes
    const Vec shifted = x + magic_;
    const Vec fraction = x - (shifted - magic_);
    Vec p = fma(c5_, fraction, c4_);
    p = fma(p, fraction, c3_);
    p = fma(p, fraction, c2_);
    p = fma(p, fraction, c1_);
    p = fma(p, fraction, one_);
    return p * xsimd::bitwise_cast<float>(xsimd::bitwise_cast<std::int32_t>(shifted) << 23);
  }

 private:
  // At -127 the power's bits are 0, and so is the result; 1.5 * 2^23 rounds to an integer, plus 127 for the exponent's
  // bias; then the polynomial.
  static constexpr float kConstants[8] = {-127.0f,       12583039.0f,    0.693147004f,   0.240222424f,
                                          0.0555073358f, 0.00967151299f, 0.00132647273f, 1.0f};
  Vec lowest_, magic_, c1_, c2_, c3_, c4_, c5_, one_;
};

}  // namespace headwise::simd
