#include "nn/weights.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "kernels/pack.hpp"
#include "kernels/quantize.hpp"

namespace headwise {
namespace {

using simd::Bf16;

// To the nearest, of two the even one. NaN stays NaN.
Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool nan = value != value;
  return static_cast<Bf16>(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float to_float(Bf16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16); }

// `bytes`, 1, 2 or 4, are known to the compiler in each case.
void copy_bytes(void* to, const void* from, std::size_t bytes) {
  if (bytes == 1) {
    std::memcpy(to, from, 1);
  } else if (bytes == 2) {
    std::memcpy(to, from, 2);
  } else {
    std::memcpy(to, from, 4);
  }
}

}  // namespace

Status Weights::create(std::size_t outputs, std::size_t inputs, WeightFormat format) {
  const bool int8 = format == WeightFormat::kInt8;
  if (int8 && max_activation(inputs) < kMaxWeight) return Status::kInvalidArgument;
  format_ = format;
  outputs_ = outputs;
  inputs_ = inputs;
  const std::size_t depth = int8 ? simd::round_up(inputs, 2) : inputs;
  panel_ = depth * simd::kTile;
  const std::uint64_t floats = (packed_size(outputs, depth) * number_bytes() + 3) / 4;
  const std::uint64_t scales = int8 ? packed_size(outputs, 1) : 0;
  HEADWISE_RETURN_IF_ERROR(data_.reserve(floats));
  HEADWISE_RETURN_IF_ERROR(scales_.reserve(scales));
  std::fill_n(data_.data(), static_cast<std::size_t>(floats), 0.0f);
  std::fill_n(scales_.data(), static_cast<std::size_t>(scales), 0.0f);
  return Status::kOk;
}

std::size_t Weights::place(std::size_t n, std::size_t k) const noexcept {
  const std::size_t panel = n / simd::kTile * panel_, row = n % simd::kTile;
  if (format_ == WeightFormat::kInt8) return panel + k / 2 * 2 * simd::kTile + 2 * row + k % 2;
  return panel + k * simd::kTile + (format_ == WeightFormat::kBf16 ? simd::bf16_place(row) : row);
}

bool Weights::set_rows(std::size_t first, std::size_t count, const float* rows) noexcept {
  if (format_ == WeightFormat::kF32) {
    pack_rows(rows, inputs_, count, inputs_, 1.0f, data_.data() + first * inputs_);
    return true;
  }
  if (format_ == WeightFormat::kBf16) {
    auto* numbers = reinterpret_cast<Bf16*>(data_.data());
    for (std::size_t n = first; n < first + count; ++n) {
      for (std::size_t k = 0; k < inputs_; ++k) numbers[place(n, k)] = to_bf16(*rows++);
    }
    return true;
  }
  if (!(largest_magnitude(rows, count * inputs_) < std::numeric_limits<float>::infinity())) return false;
  auto* numbers = reinterpret_cast<std::int8_t*>(data_.data());
  for (std::size_t n = first; n < first + count; ++n, rows += inputs_) {
    const Quantizer quantizer = quantizer_of(largest_magnitude(rows, inputs_), kMaxWeight);
    scales_.data()[n] = quantizer.scale;
    constexpr std::size_t kPiece = 64;
    std::int16_t integers[kPiece];
    for (std::size_t k = 0; k < inputs_; ++k) {
      if (k % kPiece == 0) quantize(rows + k, std::min(kPiece, inputs_ - k), quantizer, integers);
      numbers[place(n, k)] = static_cast<std::int8_t>(integers[k % kPiece]);
    }
  }
  return true;
}

void Weights::get_rows(std::size_t first, std::size_t count, float* rows) const noexcept {
  for (std::size_t n = 0; n < count; ++n) get_row(first + n, {0, inputs_}, rows + n * inputs_);
}

void Weights::get_row(std::size_t n, Range inputs, float* to) const noexcept {
  const std::size_t count = inputs.end - inputs.begin, first = place(n, inputs.begin);
  if (format_ == WeightFormat::kF32) {
    const float* numbers = data_.data() + first;
    for (std::size_t k = 0; k < count; ++k) to[k] = numbers[k * simd::kTile];
  } else if (format_ == WeightFormat::kBf16) {
    const Bf16* numbers = reinterpret_cast<const Bf16*>(data_.data()) + first;
    for (std::size_t k = 0; k < count; ++k) to[k] = to_float(numbers[k * simd::kTile]);
  } else {
    const auto* numbers = reinterpret_cast<const std::int8_t*>(data_.data());
    const float scale = scales_.data()[n];
    for (std::size_t k = 0; k < count; ++k) to[k] = scale * numbers[place(n, inputs.begin + k)];
  }
}

void Weights::pack_inputs(std::size_t first, float* to) const noexcept {
  const std::size_t count = std::min(simd::kTile, inputs_ - first);
  for (std::size_t n = 0; n < outputs_; n += simd::kTile) {
    const std::size_t rows = std::min(simd::kTile, outputs_ - n);
    float* square = to + n * simd::kTile;
    if (format_ == WeightFormat::kF32) {
      pack_rows(data_.data() + n * inputs_ + first * simd::kTile, simd::kTile, count, rows, 1.0f, square);
      continue;
    }
    std::fill_n(square, rows * simd::kTile, 0.0f);
    for (std::size_t r = 0; r < rows; ++r) get_row(n + r, {first, first + count}, square + r * simd::kTile);
  }
}

void Weights::set_raw_rows(std::size_t first, std::size_t count, const void* rows, const float* scales) noexcept {
  const std::size_t bytes = number_bytes();
  auto* data = reinterpret_cast<char*>(data_.data());
  const auto* from = static_cast<const char*>(rows);
  for (std::size_t n = first; n < first + count; ++n) {
    for (std::size_t k = 0; k < inputs_; ++k, from += bytes) copy_bytes(data + place(n, k) * bytes, from, bytes);
  }
  if (format_ == WeightFormat::kInt8) std::copy_n(scales, count, scales_.data() + first);
}

void Weights::get_raw_rows(std::size_t first, std::size_t count, void* rows, float* scales) const noexcept {
  const std::size_t bytes = number_bytes();
  const auto* data = reinterpret_cast<const char*>(data_.data());
  auto* to = static_cast<char*>(rows);
  for (std::size_t n = first; n < first + count; ++n) {
    for (std::size_t k = 0; k < inputs_; ++k, to += bytes) copy_bytes(to, data + place(n, k) * bytes, bytes);
  }
  if (format_ == WeightFormat::kInt8) std::copy_n(scales_.data() + first, count, scales);
}

void Weights::keep(const Weights& from, const Kept& outputs, const Kept& inputs) noexcept {
  const std::size_t bytes = number_bytes();
  auto* data = reinterpret_cast<char*>(data_.data());
  const auto* source = reinterpret_cast<const char*>(from.data_.data());
  for (std::size_t n = 0; n < outputs_; ++n) {
    for (std::size_t k = 0; k < inputs_; ++k) {
      copy_bytes(data + place(n, k) * bytes, source + from.place(outputs[n], inputs[k]) * bytes, bytes);
    }
    if (format_ == WeightFormat::kInt8) scales_.data()[n] = from.scales_.data()[outputs[n]];
  }
}

}  // namespace headwise
