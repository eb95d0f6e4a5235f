// An activation over many elements, in parallel; plain, or gating other ones.
#pragma once

#include <cstddef>

#include "core/thread_pool.hpp"
#include "kernels/activation.hpp"

namespace headwise {

// out = f(x), or with `gated`, f(x) * gated.   all: [count], out perhaps one of the others
void activate(Activation f, const float* x, const float* gated, std::size_t count, float* out,
              ThreadPool& pool) noexcept;

// x becomes its own gradient: gradient * f'(x), times `gated`, which becomes its own one, gradient * f(x).
void activate_backward(Activation f, float* x, float* gated, const float* gradient, std::size_t count,
                       ThreadPool& pool) noexcept;

}  // namespace headwise
