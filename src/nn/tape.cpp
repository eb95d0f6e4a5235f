#include "nn/tape.hpp"

#include <cstring>
#include <utility>

namespace headwise {
namespace {

template <class T>
const T* copy_array(const T* from, std::uint64_t count, Arena& arena) {
  if (from == nullptr) return nullptr;
  T* to = arena.take<T>(count);
  if (to != nullptr) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  return to;
}

Mask copy_mask(const Mask& from, Arena& arena) {
  if (from.empty()) return from;
  float* to = arena.take((std::uint64_t{from.bytes()} + sizeof(float) - 1) / sizeof(float));
  if (to != nullptr && from.bytes() > 0) std::memcpy(to, from.data(), from.bytes());
  return from.copied_to(to);
}

}  // namespace

Status AttentionTape::reserve(std::uint64_t floats) {
  if (!ready) return memory.reserve(floats);
  Arena fresh;  // the old contents stay until there is room for the new ones
  HEADWISE_RETURN_IF_ERROR(fresh.reserve(floats));
  memory = std::move(fresh);
  return Status::kOk;
}

ForwardArgs copy_inputs(const ForwardArgs& from, std::size_t embed_dim, std::size_t key_dim, std::size_t value_dim,
                        Arena& arena) {
  const std::uint64_t B = from.B, L = from.L, S = from.S;
  ForwardArgs copy;
  copy.B = from.B;
  copy.L = from.L;
  copy.S = from.S;
  copy.inputs = from.inputs;
  copy.visibility = from.visibility;
  copy.dropout = from.dropout;
  copy.query = copy_array(from.query, B * L * embed_dim, arena);
  if (from.inputs != Inputs::kSelf) copy.key = copy_array(from.key, B * S * key_dim, arena);
  if (from.inputs == Inputs::kAll) copy.value = copy_array(from.value, B * S * value_dim, arena);
  copy.query_positions = copy_array(from.query_positions, B * L, arena);
  copy.key_positions = copy_array(from.key_positions, B * S, arena);
  copy.visibility.offsets = copy_array(from.visibility.offsets, B, arena);
  copy.visibility.key_lengths = copy_array(from.visibility.key_lengths, B, arena);
  copy.visibility.mask = copy_mask(from.visibility.mask, arena);
  copy.visibility.key_mask = copy_mask(from.visibility.key_mask, arena);
  return copy;
}

}  // namespace headwise
