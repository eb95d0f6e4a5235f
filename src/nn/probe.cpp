#include "nn/probe.hpp"

#include <algorithm>

namespace headwise {
namespace {

void change_row(const Edit& edit, const float* values, std::size_t count, float* row) {
  const std::size_t stride = edit.strides[3];
  for (std::size_t n = 0; n < count; ++n) {
    const float value = values[n * stride];
    switch (edit.operation) {
      case Edit::Operation::kSet:
        row[n] = value;
        break;
      case Edit::Operation::kAdd:
        row[n] += value;
        break;
      case Edit::Operation::kScale:
        row[n] *= value;
        break;
    }
  }
}

bool changes_token(const Edit& edit, std::size_t token) {
  return edit.tokens == nullptr ||
         std::binary_search(edit.tokens, edit.tokens + edit.token_count, static_cast<std::int32_t>(token));
}

void apply(const Edit& edit, const PlaceShape& shape, const HeadView<float>& at, std::size_t first) {
  const std::size_t begin = edit.head < 0 ? 0 : static_cast<std::size_t>(edit.head);
  const std::size_t end = edit.head < 0 ? shape.H : begin + 1;
  for (std::size_t b = 0; b < shape.B; ++b) {
    for (std::size_t h = begin; h < end; ++h) {
      for (std::size_t i = 0; i < shape.L; ++i) {
        if (!changes_token(edit, first + i)) continue;
        const float* values = edit.values + b * edit.strides[0] + h * edit.strides[1] + (first + i) * edit.strides[2];
        change_row(edit, values, shape.D, at.at(b, h, i));
      }
    }
  }
}

}  // namespace

bool Probe::changes(Place place) const {
  return std::any_of(edits, edits + edit_count, [&](const Edit& edit) { return edit.place == place; });
}

bool Probe::visits_attention() const {
  for (Place place : {Place::kQuery, Place::kKey, Place::kValue, Place::kWeights, Place::kHeads}) {
    if (visits(place)) return true;
  }
  return false;
}

void Probe::visit(Place place, const PlaceShape& shape, const HeadView<float>& at) const {
  for (std::size_t n = 0; n < edit_count; ++n) {
    if (edits[n].place == place) apply(edits[n], shape, at, first);
  }
  read(place, shape, at);
}

void copy_rows(const PlaceShape& shape, const HeadView<const float>& from, float* to) {
  for (std::size_t b = 0; b < shape.B; ++b) {
    for (std::size_t h = 0; h < shape.H; ++h) {
      for (std::size_t i = 0; i < shape.L; ++i, to += shape.D) std::copy_n(from.at(b, h, i), shape.D, to);
    }
  }
}

}  // namespace headwise
