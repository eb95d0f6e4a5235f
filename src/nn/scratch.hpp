// Scratch of one step of a pass, in an arena for whose largest step there is room already.
#pragma once

#include "core/context.hpp"

namespace headwise {

inline float* take_scratch(Context& context, std::uint64_t floats) {
  return context.arena.reserve(floats) == Status::kOk ? context.arena.take(floats) : nullptr;
}

}  // namespace headwise
