// Cross-entropy of logits with target tokens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"

namespace headwise {

inline constexpr std::int32_t kIgnored = -1;  // a target that is ignored

struct Loss {
  double mean = 0.0;      // of -log softmax(logits)[target] over the targets that are not ignored; 0 if there are none
  std::size_t count = 0;  // number of targets that are not ignored
  std::size_t correct = 0;  // of these, those that have the largest logit (the first of equal ones)
};

// Floats of the context's arena that it takes; the caller has reserved them.
std::uint64_t cross_entropy_scratch(std::size_t rows, std::size_t V, std::size_t threads);

// logits: [rows, V], targets: [rows]. With `gradient`, the logits become their own gradient: (softmax - target) /
// count, zeros in ignored rows.
Loss cross_entropy(float* logits, const std::int32_t* targets, std::size_t rows, std::size_t V, bool gradient,
                   Context& context) noexcept;

}  // namespace headwise
