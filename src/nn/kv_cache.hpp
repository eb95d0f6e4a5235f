// Keys and values of earlier tokens, so that each new token costs one row of attention and no projection is repeated.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"
#include "core/shape.hpp"

namespace headwise {

// How many tokens of each batch row are valid is the caller's to remember.
class KvCache {
 public:
  Status create(std::size_t batch, std::size_t heads, std::size_t capacity, std::size_t head_dim,
                std::size_t value_head_dim) {
    heads_ = heads, capacity_ = capacity, head_dim_ = head_dim, value_head_dim_ = value_head_dim;
    const std::uint64_t rows = std::uint64_t{batch} * heads * capacity;
    HEADWISE_RETURN_IF_ERROR(keys_.reserve(rows * head_dim));
    return values_.reserve(rows * value_head_dim);
  }

  std::size_t capacity() const { return capacity_; }

  // [B, G, capacity, D] and [B, G, capacity, Dv]: each head's rows lie together, the way attention reads them fastest.
  HeadView<float> keys() { return HeadView<float>::heads_first(keys_.data(), heads_, capacity_, head_dim_); }
  HeadView<float> values() { return HeadView<float>::heads_first(values_.data(), heads_, capacity_, value_head_dim_); }

 private:
  std::size_t heads_ = 0, capacity_ = 0, head_dim_ = 0, value_head_dim_ = 0;
  AlignedBuffer keys_, values_;
};

}  // namespace headwise
