#include "nn/tape.hpp"

#include <cstring>
#include <type_traits>
#include <utility>

namespace headwise {

Status AttentionTape::record(const ForwardArgs& from, std::size_t embed_dim, std::size_t key_dim, std::size_t value_dim,
                             std::uint64_t floats) {
  const std::uint64_t B = from.B, L = from.L, S = from.S;
  const Mask& mask = from.visibility.mask;
  const std::uint64_t mask_floats = (std::uint64_t{mask.bytes()} + sizeof(float) - 1) / sizeof(float);
  ForwardArgs copy;
  copy.B = from.B;
  copy.L = from.L;
  copy.S = from.S;
  copy.visibility = from.visibility;
  copy.dropout = from.dropout;
  // Calls fn(array of `from`, its copy, its length) for each that there is; equal ones are kept once.
  const auto for_each_array = [&](const auto& fn) {
    const auto keep = [&](const auto* array, const auto*& kept, std::uint64_t count) {
      if (array != nullptr) fn(array, kept, count);
    };
    keep(from.query, copy.query, B * L * embed_dim);
    if (from.key == from.query) {
      copy.key = copy.query;
    } else {
      keep(from.key, copy.key, B * S * key_dim);
    }
    if (from.value == from.key) {
      copy.value = copy.key;
    } else if (from.value == from.query) {
      copy.value = copy.query;
    } else {
      keep(from.value, copy.value, B * S * value_dim);
    }
    keep(from.query_positions, copy.query_positions, B * L);
    keep(from.key_positions, copy.key_positions, B * S);
    keep(from.visibility.offsets, copy.visibility.offsets, B);
    keep(from.visibility.key_lengths, copy.visibility.key_lengths, B);
  };
  floats += Arena::padded(mask_floats);
  for_each_array([&](const auto*, const auto*&, std::uint64_t count) { floats += Arena::padded(count); });
  if (ready) {  // what is on the tape stays there until there is room for what replaces it
    Arena fresh;
    HEADWISE_RETURN_IF_ERROR(fresh.reserve(floats));
    memory = std::move(fresh);
  } else {
    HEADWISE_RETURN_IF_ERROR(memory.reserve(floats));
  }
  for_each_array([&](const auto* array, const auto*& kept, std::uint64_t count) {
    float* to = memory.take(static_cast<std::size_t>(count));
    std::memcpy(to, array, static_cast<std::size_t>(count) * sizeof(float));
    kept = reinterpret_cast<std::remove_reference_t<decltype(kept)>>(to);
  });
  if (!mask.empty()) {
    float* to = memory.take(static_cast<std::size_t>(mask_floats));
    if (mask.bytes() > 0) std::memcpy(to, mask.data(), mask.bytes());
    copy.visibility.mask = mask.copied_to(to);
  }
  args = copy;
  return Status::kOk;
}

}  // namespace headwise
