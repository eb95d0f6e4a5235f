// A parameter as optimizers see it, and how it is read and written.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/pack.hpp"

namespace headwise {

// A parameter and its gradient. Both have the same order of elements, and zeros as padding.
struct Parameter {
  float* value;
  float* gradient;  // null if gradients are not enabled
  std::size_t count;
  bool decay;                           // whether weight decay applies: to matrices, not to biases and norms
  std::size_t outputs = 0, inputs = 0;  // of a packed matrix [outputs, inputs]; 0: not packed

  // The order of elements for the caller: matrices are [outputs, inputs].
  void read_value(float* to) const noexcept { read(value, to); }
  void read_gradient(float* to) const noexcept { read(gradient, to); }
  void write_value(const float* from) const noexcept {
    if (outputs == 0) {
      std::copy_n(from, count, value);
    } else {
      pack_rows(from, inputs, outputs, inputs, 1.0f, value);
    }
  }

 private:
  void read(const float* from, float* to) const noexcept {
    if (outputs == 0) {
      std::copy_n(from, count, to);
    } else {
      unpack_rows(from, outputs, inputs, to);
    }
  }
};

// The parameter with an index in the order of for_each_parameter.
template <class Module>
Parameter parameter_at(Module& module, std::size_t index) {
  Parameter found{};
  module.for_each_parameter([&](const Parameter& parameter) {
    if (index-- == 0) found = parameter;
  });
  return found;
}

// For two modules with parameters of the same shapes.
template <class Module>
void copy_parameters(Module& from, Module& to) {
  std::size_t n = 0;
  to.visit([&](auto& part) {
    part.for_each_parameter([&](const Parameter& copy) {
      std::size_t m = 0;
      from.visit([&](auto& source) {
        source.for_each_parameter([&](const Parameter& parameter) {
          if (m++ == n) std::copy_n(parameter.value, parameter.count, copy.value);
        });
      });
      ++n;
    });
  });
}

}  // namespace headwise
