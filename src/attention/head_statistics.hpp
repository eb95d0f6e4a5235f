// Statistics of each head's attention. docs/heads.md has the definitions and their sources.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/visibility.hpp"
#include "core/context.hpp"

namespace headwise {

// Means over queries of all batch rows; 0 if there is no such query. Query i has the position i + offset (`place`)
// among the keys. `entropy` is over queries that see at least two keys, `distance` and `confidence` over those that see
// one.
struct HeadStatistics {
  float entropy;     // -sum_j p log p / log(visible keys)
  float distance;    // sum_j p |place - j|, in tokens
  float confidence;  // max_j p
  // The weight on one key, over the queries that see that key.
  float first;     // key 0
  float previous;  // key place - 1
  float next;      // key place + 1
  float self;      // key place
  // The weight on keys of a kind, over the queries that see such a key; 0 without tokens.
  float duplicate;  // j < place that hold the token of key `place`
  float induction;  // j <= place that follow one of these
};

struct AnalysisArgs {
  std::size_t B, H, L, S;
  const float* weights;  // [B, H, L, S] probabilities
  Visibility visibility;
  const std::int32_t* tokens = nullptr;  // [B, S] or [S], of the keys; null: not known
  std::size_t token_batch = 0;           // from one batch row's tokens to the next's: S, or 0
};

// statistics: [H]
Status analyze_heads(const AnalysisArgs& args, Context& context, HeadStatistics* statistics);

}  // namespace headwise
