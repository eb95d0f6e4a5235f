// Keys and values of earlier tokens, so that only the new tokens are projected and attend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "attention/append.hpp"
#include "core/aligned_buffer.hpp"
#include "core/shape.hpp"

namespace headwise {

// The caller stores how many tokens of each batch row are valid.
class KvCache {
 public:
  Status create(std::size_t batch, std::size_t heads, std::size_t capacity, std::size_t head_dim,
                std::size_t value_head_dim) {
    batch_ = batch, heads_ = heads, capacity_ = capacity, head_dim_ = head_dim, value_head_dim_ = value_head_dim;
    const std::uint64_t rows = std::uint64_t{batch} * heads * capacity;
    HEADWISE_RETURN_IF_ERROR(keys_.reserve(rows * head_dim));
    return values_.reserve(rows * value_head_dim);
  }

  // Makes room for more tokens and keeps the first `length` tokens of each row. A failure changes nothing.
  Status grow(std::size_t capacity, std::size_t length) {
    KvCache larger;
    HEADWISE_RETURN_IF_ERROR(larger.create(batch_, heads_, capacity, head_dim_, value_head_dim_));
    for (std::size_t b = 0; b < batch_; ++b) {
      append_rows(keys(), b, heads_, length, head_dim_, larger.keys(), 0);
      append_rows(values(), b, heads_, length, value_head_dim_, larger.values(), 0);
    }
    *this = std::move(larger);
    return Status::kOk;
  }

  std::size_t capacity() const { return capacity_; }

  // [B, G, capacity, D] and [B, G, capacity, Dv]: the rows of a head are adjacent, which attention reads fastest.
  HeadView<float> keys() { return HeadView<float>::heads_first(keys_.data(), heads_, capacity_, head_dim_); }
  HeadView<float> values() { return HeadView<float>::heads_first(values_.data(), heads_, capacity_, value_head_dim_); }

 private:
  std::size_t batch_ = 0, heads_ = 0, capacity_ = 0, head_dim_ = 0, value_head_dim_ = 0;
  AlignedBuffer keys_, values_;
};

}  // namespace headwise
