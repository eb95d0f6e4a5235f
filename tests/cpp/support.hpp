// What all C++ tests share: the reference, and the rule by which a result passes.
#pragma once

#include <doctest/doctest.h>

#include <cstring>

#include "headwise.hpp"
#include "kernels/tile.hpp"
#include "reference.hpp"

namespace headwise::test {

inline constexpr bool kHasThreads = HEADWISE_HAS_THREADS;

// The rule of all comparisons: at most twice the error of a naive float32 computation, and a little absolute slack.
inline void check_close(const float* ours, const std::vector<double>& exact, const std::vector<float>& naive) {
  double error = 0, naive_error = 0, largest = 1;
  for (std::size_t n = 0; n < exact.size(); ++n) {
    const bool is_masked = std::isinf(exact[n]);  // only scores are
    const bool fits = !std::isnan(ours[n]) && std::isinf(ours[n]) == is_masked;
    if (!fits) FAIL(ours[n] << " where " << exact[n] << " is expected");
    if (is_masked) continue;
    error = std::max(error, std::abs(ours[n] - exact[n]));
    naive_error = std::max(naive_error, std::abs(naive[n] - exact[n]));
    largest = std::max(largest, std::abs(exact[n]));
  }
  CHECK(error <= 2 * naive_error + 1e-6 * largest);
}

// Rows of a full tile in contexts that tests start.
inline std::size_t tile_rows = kTileRows;

// Calls work() with tiles of 4 rows, as engines are given them whose compilers are slower with 6.
template <class Work>
auto with_small_tiles(const Work& work) {
  tile_rows = 4;
  auto result = work();
  tile_rows = kTileRows;
  return result;
}

inline void start(Context& context, std::size_t threads) {
  context.tile_rows = tile_rows;
  REQUIRE(context.pool.start(threads) == Status::kOk);
}

// An operation must not take more of its arena than it has asked for.
inline void check_room(const Arena& arena) { CHECK(arena.used() <= arena.room()); }

}  // namespace headwise::test
