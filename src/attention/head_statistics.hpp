// What each head does with its attention, in numbers.
#pragma once

#include <cstddef>

#include "attention/visibility.hpp"
#include "core/context.hpp"

namespace headwise {

struct HeadStatistics {
  // Mean over queries of -sum_j p log p / log(visible keys). Queries that see one key or none are left out.
  float entropy;
  // Mean over queries that see a key of sum_j p |i + offset - j|, in tokens.
  float distance;
};

// weights: [B, H, L, S] probabilities; statistics: [H]. The caller has reserved analysis_scratch floats in the arena.
std::uint64_t analysis_scratch(std::size_t S, std::size_t threads);
void analyze_heads(const float* weights, std::size_t B, std::size_t H, std::size_t L, std::size_t S,
                   const Visibility& visibility, Context& context, HeadStatistics* statistics) noexcept;

}  // namespace headwise
