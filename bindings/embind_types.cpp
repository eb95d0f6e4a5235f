// The types of arguments, fields and results in the embind table: numbers. The link fails (--emit-tsd) if one is
// missing here. This file takes the place of embind's own bind.cpp, which also registers strings, JavaScript values,
// 64-bit integers and views of memory: 2 KB of JavaScript and 1 KB of WebAssembly, gzipped.
#include <emscripten/bind.h>

#include <cstring>
#include <limits>

#include "headwise.hpp"

using emscripten::internal::TypeID;

// What embind's headers and Emscripten's link expect of bind.cpp.
extern "C" {
// For messages about missing types. A copy, which JavaScript frees.
const char* __getTypeName(const std::type_info* type) { return strdup(type->name()); }
// For the threads of a pool, which have no embind. On the caller EMSCRIPTEN_BINDINGS's static objects have filled the
// table.
void _embind_register_bindings(emscripten::internal::InitFunc*) {}
void _embind_initialize_bindings() {}
}

namespace headwise::bindings {
namespace {

template <class T>
void register_integer(const char* name) {
  using Limits = std::numeric_limits<T>;
  emscripten::internal::_embind_register_integer(TypeID<T>::get(), name, sizeof(T), Limits::min(), Limits::max());
}

// An enumeration is a number in JavaScript.
template <class T>
void register_enumeration(const char* name) {
  static_assert(sizeof(T) == sizeof(int));
  emscripten::internal::_embind_register_integer(TypeID<T>::get(), name, sizeof(T), std::numeric_limits<int>::min(), 0);
}

}  // namespace

EMSCRIPTEN_BINDINGS(types) {
  using namespace emscripten::internal;
  _embind_register_void(TypeID<void>::get(), "void");
  _embind_register_bool(TypeID<bool>::get(), "bool", true, false);
  register_integer<int>("int");
  register_integer<unsigned>("unsigned");
  register_integer<unsigned long>("unsigned long");  // std::size_t and addresses
  _embind_register_float(TypeID<float>::get(), "float", sizeof(float));
  _embind_register_float(TypeID<double>::get(), "double", sizeof(double));
  register_enumeration<Status>("Status");
  register_enumeration<Inputs>("Inputs");
  register_enumeration<WeightsStage>("WeightsStage");
  register_enumeration<HeadOutput>("HeadOutput");
  register_enumeration<NormKind>("NormKind");
  register_enumeration<Activation>("Activation");
  register_enumeration<Positions>("Positions");
  register_enumeration<Pooling>("Pooling");
  register_enumeration<WeightFormat>("WeightFormat");
}

}  // namespace headwise::bindings
