// Scratch memory of one call: reserved once for the whole call, handed out piece by piece, kept for the next call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"

namespace headwise {

class Arena {
 public:
  // Floats that `take(count)` uses up.
  static constexpr std::uint64_t padded(std::uint64_t count) {
    constexpr std::uint64_t kFloats = kAlignment / sizeof(float);
    return (count + kFloats - 1) / kFloats * kFloats;
  }

  // Room for a call that will take `count` floats in all (each piece `padded`). Earlier pieces become invalid.
  Status reserve(std::uint64_t count) {
    used_ = 0;
    return buffer_.reserve(count);
  }

  void release() { buffer_.release(); }

  float* take(std::size_t count) {
    float* piece = buffer_.data() + used_;
    used_ += static_cast<std::size_t>(padded(count));
    return piece;
  }

 private:
  AlignedBuffer buffer_;
  std::size_t used_ = 0;
};

}  // namespace headwise
