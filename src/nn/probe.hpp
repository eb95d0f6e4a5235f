// What is read and changed of a layer during a forward pass, place by place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/shape.hpp"
#include "nn/norm.hpp"

namespace headwise {

// In the order in which a layer passes them, and then the scales of its norms, wherever these are: what a norm divides
// by. Streams, attention and feed-forward are [B, L, E], one "head" wide, and scales of the layer's norms [B, L, 1].
enum class Place : int {
  kBefore,       // the residual stream before the layer
  kQuery,        // [B, H, L, D], as attended with: after norm and rotary embedding
  kKey,          // [B, G, L, D], likewise
  kValue,        // [B, G, L, D]
  kWeights,      // [B, H, L, S], probabilities
  kHeads,        // [B, H, L, D], each head's output before its gate
  kAttention,    // what the attention adds to the stream
  kMiddle,       // the stream between attention and feed-forward
  kFeedForward,  // what the feed-forward adds to the stream
  kAfter,        // the stream after the layer
  kNorm1,
  kNorm1After,
  kNorm2,
  kNorm2After,
  kQueryNorm,  // [B, H, L, 1]
  kKeyNorm,    // [B, G, L, 1]
};
inline constexpr std::size_t kPlaces = 16;

// The extents of what is at a place.
struct PlaceShape {
  std::size_t B, H, L, D;
};

// to: [B, H, L, D]
void copy_rows(const PlaceShape& shape, const HeadView<const float>& from, float* to);

// A change of the values at a place.
struct Edit {
  enum class Operation : int { kSet, kAdd, kScale };

  Place place;
  Operation operation;
  std::int32_t head = -1;                // the only head that is changed; -1: all
  const std::int32_t* tokens = nullptr;  // [token_count], ascending, counted from the start of the sequence; null: all
  std::size_t token_count = 0;
  const float* values = nullptr;
  std::size_t strides[4] = {0, 0, 0, 0};  // of values, by batch row, head, token and element; 0: one for all
};

struct Probe {
  float* captures[kPlaces] = {};  // what is copied of each place, [B, H, L, D], after the edits; null: nothing
  const Edit* edits = nullptr;    // [edit_count], of this layer
  std::size_t edit_count = 0;
  std::size_t first = 0;  // tokens of the sequence before the first row

  bool changes(Place place) const;
  bool visits(Place place) const { return captures[static_cast<int>(place)] != nullptr || changes(place); }
  // Changes one row of what is at a place.   row: [D]
  void change(Place place, std::size_t b, std::size_t h, std::size_t i, std::size_t D, float* row) const;
  // Changes and copies what is at a place.
  void visit(Place place, const PlaceShape& shape, const HeadView<float>& at) const;
  // Copies alone.
  void read(Place place, const PlaceShape& shape, const HeadView<const float>& at) const {
    if (float* to = captures[static_cast<int>(place)]) copy_rows(shape, at, to);
  }
};

// A norm of rows whose scales a probe may visit, or of others where it is null.
// x, out: [B, L, H, width]; scales: room for [B, L, H], where the probe visits the place
void forward_norm(const Norm& norm, const Probe* probe, Place place, std::size_t B, std::size_t H, std::size_t L,
                  const float* x, float* out, float* scales, ThreadPool& pool);

}  // namespace headwise
