// Scratch memory of one call, handed out piece by piece and kept for the next call. An arena without memory only
// counts. So an operation takes its pieces in one function: with an empty arena it counts the room that it needs, with
// a reserved arena it lays the pieces out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"

namespace headwise {

class Arena {
 public:
  Arena() = default;
  // Over `room` floats of memory that it does not own.
  Arena(float* memory, std::uint64_t room) : memory_(memory), room_(room) {}

  // Floats that take(count) uses.
  static constexpr std::uint64_t padded(std::uint64_t count) {
    constexpr std::uint64_t kFloats = kAlignment / sizeof(float);
    return (count + kFloats - 1) / kFloats * kFloats;
  }

  // Makes room for pieces of `floats` floats in total. Earlier pieces become invalid.
  Status reserve(std::uint64_t floats) {
    memory_ = nullptr;
    room_ = used_ = 0;
    HEADWISE_RETURN_IF_ERROR(buffer_.reserve(floats));
    memory_ = buffer_.data();
    room_ = floats;
    return Status::kOk;
  }

  void release() {
    buffer_.release();
    memory_ = nullptr;
    room_ = used_ = 0;
  }

  // A piece of `count` elements; null without memory.   T: has the size of a float
  template <class T = float>
  T* take(std::uint64_t count) {
    static_assert(sizeof(T) == sizeof(float));
    float* piece = memory_ == nullptr ? nullptr : memory_ + static_cast<std::size_t>(used_);
    used_ += padded(count);
    return reinterpret_cast<T*>(piece);
  }

  // Floats that were taken since the last `reserve`. An operation must not take more than it has reserved.
  std::uint64_t used() const { return used_; }
  std::uint64_t room() const { return room_; }

 private:
  AlignedBuffer buffer_;  // empty if the memory is not its own
  float* memory_ = nullptr;
  std::uint64_t room_ = 0, used_ = 0;
};

}  // namespace headwise
