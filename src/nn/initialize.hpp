// Random parameters. Our own code, because the distributions of standard libraries differ.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

#include "nn/linear.hpp"

namespace headwise {

// Xavier-uniform weights (Glorot & Bengio 2010), times `gain`.   scratch: [outputs, inputs]
inline void initialize_uniform(Linear& linear, std::mt19937& generator, float* scratch, double gain = 1.0) {
  const double bound = std::sqrt(6.0 / static_cast<double>(linear.inputs() + linear.outputs())) * gain;
  const std::size_t count = linear.inputs() * linear.outputs();
  for (std::size_t i = 0; i < count; ++i) {  // 24 bits to [-bound, bound)
    scratch[i] = static_cast<float>((static_cast<double>(generator() >> 8) * 0x1p-23 - 1.0) * bound);
  }
  linear.set_weight(scratch);
}

// Normal, standard deviation 0.02 as in GPT-2; the sum of 12 uniform numbers minus 6, which needs no logarithm.
inline void initialize_normal(float* values, std::size_t count, std::mt19937& generator) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t sum = 0;  // of integers below 2^16
    for (int n = 0; n < 6; ++n) {
      const auto bits = static_cast<std::uint32_t>(generator());
      sum += (bits & 0xffff) + (bits >> 16);
    }
    values[i] = 0.02f * 0x1p-16f * (static_cast<float>(sum) - 6 * 65535.0f);
  }
}

}  // namespace headwise
