// The one owner of memory in the core: 64-byte-aligned floats whose failed allocation is a Status.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "core/status.hpp"

namespace headwise {

inline constexpr std::size_t kAlignment = 64;  // bytes: a cache line, and any vector we load

// Bytes held by all buffers of this process or WebAssembly instance.
inline std::atomic<std::size_t> bytes_in_use{0};

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer() { release(); }

  // Makes room for `count` floats. Keeps the block when it is large enough; otherwise the old content is lost.
  // 64-bit counts, because products of extents overflow a 32-bit size_t.
  Status reserve(std::uint64_t count) {
    if (count * sizeof(float) <= bytes_) return Status::kOk;
    release();
    constexpr std::uint64_t kMaxFloats = (SIZE_MAX - kAlignment) / sizeof(float);
    if (count > kMaxFloats) return Status::kOutOfMemory;
    const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(float) + kAlignment - 1) & ~(kAlignment - 1);
    data_ = allocate(bytes);
    if (data_ == nullptr) return Status::kOutOfMemory;
    bytes_ = bytes;
    bytes_in_use.fetch_add(bytes, std::memory_order_relaxed);
    return Status::kOk;
  }

  void release() {
    std::free(data_);
    bytes_in_use.fetch_sub(bytes_, std::memory_order_relaxed);
    data_ = nullptr;
    bytes_ = 0;
  }

  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  // Emscripten's emmalloc adds sizes to addresses in 32 bits. Near 4 GiB it therefore takes a free block for larger
  // than it is, and the end of such a block lies below its start. We hold that block while we allocate another one, so
  // that emmalloc passes over it.
  static float* allocate(std::size_t bytes) {
    float* block = static_cast<float*>(std::aligned_alloc(kAlignment, bytes));
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    if (begin + bytes >= begin) return block;  // null among them
    float* other = allocate(bytes);
    std::free(block);
    return other;
  }

  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  float* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace headwise
