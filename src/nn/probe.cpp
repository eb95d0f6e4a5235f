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

bool changes_row(const Edit& edit, std::size_t head, std::size_t token) {
  if (edit.head >= 0 && static_cast<std::size_t>(edit.head) != head) return false;
  return edit.tokens == nullptr ||
         std::binary_search(edit.tokens, edit.tokens + edit.token_count, static_cast<std::int32_t>(token));
}

// Calls fn(b, h, i) for each row.
template <class Fn>
void for_each_row(const PlaceShape& shape, const Fn& fn) {
  for (std::size_t b = 0; b < shape.B; ++b) {
    for (std::size_t h = 0; h < shape.H; ++h) {
      for (std::size_t i = 0; i < shape.L; ++i) fn(b, h, i);
    }
  }
}

}  // namespace

bool Probe::changes(Place place) const {
  return std::any_of(edits, edits + edit_count, [&](const Edit& edit) { return edit.place == place; });
}

void Probe::change(Place place, std::size_t b, std::size_t h, std::size_t i, std::size_t D, float* row) const {
  for (std::size_t n = 0; n < edit_count; ++n) {
    const Edit& edit = edits[n];
    if (edit.place != place || !changes_row(edit, h, first + i)) continue;
    change_row(edit, edit.values + b * edit.strides[0] + h * edit.strides[1] + (first + i) * edit.strides[2], D, row);
  }
}

void Probe::visit(Place place, const PlaceShape& shape, const HeadView<float>& at) const {
  if (changes(place)) {
    for_each_row(shape,
                 [&](std::size_t b, std::size_t h, std::size_t i) { change(place, b, h, i, shape.D, at.at(b, h, i)); });
  }
  read(place, shape, at);
}

void copy_rows(const PlaceShape& shape, const HeadView<const float>& from, float* to) {
  for_each_row(shape,
               [&](std::size_t b, std::size_t h, std::size_t i) { to = std::copy_n(from.at(b, h, i), shape.D, to); });
}

void forward_norm(const Norm& norm, const Probe* probe, Place place, std::size_t B, std::size_t H, std::size_t L,
                  const float* x, float* out, float* scales, ThreadPool& pool) {
  const std::size_t rows = B * L * H;
  if (probe == nullptr || !probe->visits(place)) return norm.forward(x, rows, out, pool);
  norm.measure(x, rows, scales);
  probe->visit(place, {B, H, L, 1}, HeadView<float>::heads_in_rows(scales, H, L, 1));
  norm.forward(x, rows, out, pool, scales);
}

}  // namespace headwise
