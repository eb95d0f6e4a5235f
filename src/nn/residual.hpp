// What is added to the residual stream, and dropout on the way.
#pragma once

#include <cstddef>

#include "core/thread_pool.hpp"
#include "kernels/dropout.hpp"

namespace headwise {

// out = a + b; any of them may be the same.
void add(const float* a, const float* b, float* out, std::size_t count, ThreadPool& pool) noexcept;

// x: a piece of an arena, whose last vector is whole.
void drop(const Dropout& dropout, float* x, std::size_t count, ThreadPool& pool) noexcept;

}  // namespace headwise
