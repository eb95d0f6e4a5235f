// A parameter as optimizers see it, and how it is read and written.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/pack.hpp"
#include "nn/weights.hpp"

namespace headwise {

// A parameter and its gradient. Both have the same order of elements, and zeros as padding.
struct Parameter {
  float* value;     // null if its numbers are not floats
  float* gradient;  // null if gradients are not enabled
  std::size_t count;
  bool decay;                 // whether weight decay applies: to matrices, not to biases and norms
  Weights* matrix = nullptr;  // of a linear layer, which is packed; null: not packed

  // The order of elements for the caller: matrices are [outputs, inputs].
  void read_value(float* to) const noexcept {
    if (matrix == nullptr) {
      std::copy_n(value, count, to);
    } else {
      matrix->get_rows(0, matrix->outputs(), to);
    }
  }
  void read_gradient(float* to) const noexcept {
    if (matrix == nullptr) {
      std::copy_n(gradient, count, to);
    } else {
      unpack_rows(gradient, matrix->outputs(), matrix->inputs(), to);
    }
  }
  // False, and nothing has changed: int8 cannot hold infinity or NaN.
  bool write_value(const float* from) const noexcept {
    if (matrix != nullptr) return matrix->set_rows(0, matrix->outputs(), from);
    std::copy_n(from, count, value);
    return true;
  }
  // The elements [first, first + number) alone; of a matrix whole rows, as Weights has them.
  void read_part(std::size_t first, std::size_t number, float* to) const noexcept {
    if (matrix == nullptr) {
      std::copy_n(value + first, number, to);
    } else {
      matrix->get_rows(first / matrix->inputs(), number / matrix->inputs(), to);
    }
  }
  bool write_part(std::size_t first, std::size_t number, const float* from) const noexcept {
    if (matrix != nullptr) return matrix->set_rows(first / matrix->inputs(), number / matrix->inputs(), from);
    std::copy_n(from, number, value + first);
    return true;
  }
  // Of the same shape and format.
  void copy(const Parameter& from) const noexcept {
    if (matrix == nullptr) {
      std::copy_n(from.value, count, value);
    } else {
      matrix->keep(*from.matrix, {}, {});
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

// For two modules with parameters of the same shapes and formats.
template <class Module>
void copy_parameters(Module& from, Module& to) {
  std::size_t n = 0;
  to.visit([&](auto& part) {
    part.for_each_parameter([&](const Parameter& copy) {
      std::size_t m = 0;
      from.visit([&](auto& source) {
        source.for_each_parameter([&](const Parameter& parameter) {
          if (m++ == n) copy.copy(parameter);
        });
      });
      ++n;
    });
  });
}

}  // namespace headwise
