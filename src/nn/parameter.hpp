// What an optimizer sees of a module.
#pragma once

#include <cstddef>

namespace headwise {

// A parameter and its gradient, in whatever order of elements both share; padding is zeros in both.
struct Parameter {
  float* value;
  float* gradient;  // null where gradients have not been enabled
  std::size_t count;
  bool decay;  // whether weight decay applies: to matrices, not to biases and norms
};

}  // namespace headwise
