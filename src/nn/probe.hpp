// What is read and changed of a layer during a forward pass, place by place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/shape.hpp"

namespace headwise {

// In the order in which a layer passes them. Streams, attention and feed-forward are [B, L, E], one "head" wide.
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
};
inline constexpr std::size_t kPlaces = 10;

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
  // Whether it visits any place inside the attention.
  bool visits_attention() const;
  // Changes and copies what is at a place.
  void visit(Place place, const PlaceShape& shape, const HeadView<float>& at) const;
  // Copies alone.
  void read(Place place, const PlaceShape& shape, const HeadView<const float>& at) const {
    if (float* to = captures[static_cast<int>(place)]) copy_rows(shape, at, to);
  }
};

}  // namespace headwise
