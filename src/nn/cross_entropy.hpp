// Cross-entropy of logits with target tokens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/context.hpp"

namespace headwise {

inline constexpr std::int32_t kIgnored = -1;  // a target that does not count

struct Loss {
  double mean = 0.0;        // of -log softmax(logits)[target] over the targets that count; 0 where none does
  std::size_t count = 0;    // targets that count
  std::size_t correct = 0;  // of these, where the target has the largest logit, the first of equal ones
};

// Floats of the context's arena that it takes; the caller has reserved them.
std::uint64_t cross_entropy_scratch(std::size_t rows, std::size_t V, std::size_t threads);

// logits: [rows, V], targets: [rows]. With `gradient`, the logits become their own gradient: (softmax - target) /
// count, zeros in rows that do not count.
Loss cross_entropy(float* logits, const std::int32_t* targets, std::size_t rows, std::size_t V, bool gradient,
                   Context& context) noexcept;

}  // namespace headwise
