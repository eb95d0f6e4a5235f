// The matrix of a linear layer or an embedding, packed for products, in one of three number formats. Only this class
// and Linear's products know which.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/aligned_buffer.hpp"
#include "kernels/gemm_int8.hpp"

namespace headwise {

enum class WeightFormat : int {
  kF32 = 0,
  kBf16 = 1,
  kInt8 = 2,  // each row (an output) is scale * integers of -127 … 127
};

// The rows or columns that a smaller matrix keeps of a larger one: all of them, or a list of blocks.
struct Kept {
  const std::uint32_t* blocks = nullptr;  // null: all
  std::size_t width = 1;                  // of a block
  std::size_t operator[](std::size_t n) const { return blocks == nullptr ? n : blocks[n / width] * width + n % width; }
};

class Weights {
 public:
  // Zeros. kInvalidArgument: too many inputs for int8, whose sums have 32 bits.
  Status create(std::size_t outputs, std::size_t inputs, WeightFormat format);

  WeightFormat format() const { return format_; }
  std::size_t outputs() const { return outputs_; }
  std::size_t inputs() const { return inputs_; }
  std::size_t size() const { return panel_ * simd::tiles(outputs_); }  // numbers, padding included

  // Rows [first, first + count), [count, inputs]: floats, which become the matrix's format and back. `first` is a
  // multiple of 8, and so is `count`, or the rows are the last ones. False, and nothing has changed: int8 cannot hold
  // an infinity or NaN.
  bool set_rows(std::size_t first, std::size_t count, const float* rows) noexcept;
  void get_rows(std::size_t first, std::size_t count, float* rows) const noexcept;
  // The numbers as they are, [count, inputs]: floats, 16 bits of BF16, or int8, and its scales, [count].
  void set_raw_rows(std::size_t first, std::size_t count, const void* rows, const float* scales) noexcept;
  void get_raw_rows(std::size_t first, std::size_t count, void* rows, float* scales) const noexcept;
  // A part of row n, as floats.
  void get_row(std::size_t n, Range inputs, float* to) const noexcept;
  // The transpose's panel of 8 inputs, as floats: [outputs, 8], zeros behind the last input. first: a multiple of 8
  void pack_inputs(std::size_t first, float* to) const noexcept;
  // The numbers of a matrix of the same format: row n is its row outputs[n], and so are the columns.
  void keep(const Weights& from, const Kept& outputs, const Kept& inputs) noexcept;

  float* floats() { return format_ == WeightFormat::kF32 ? data_.data() : nullptr; }  // packed
  // W^T of some inputs, [inputs, outputs], for products.   Number: the format's, float or simd::Bf16
  template <class Number>
  Packed<Number> slice(Range inputs) const {
    const auto* numbers = reinterpret_cast<const Number*>(data_.data());
    return {numbers + inputs.begin * simd::kTile, outputs_, inputs.end - inputs.begin, panel_};
  }
  // The same of int8: whole pairs of inputs, so that there may be one more at either end.
  PackedInt8 int8_slice(Range inputs) const {
    const std::size_t first = inputs.begin / 2;
    const auto* numbers = reinterpret_cast<const std::int8_t*>(data_.data());
    return {numbers + first * 2 * simd::kTile, scales_.data(), outputs_, (inputs.end + 1) / 2 - first, panel_};
  }

 private:
  std::size_t number_bytes() const {
    return format_ == WeightFormat::kF32 ? 4 : format_ == WeightFormat::kBf16 ? 2 : 1;
  }
  // Where number (n, k) lies, in numbers.
  std::size_t place(std::size_t n, std::size_t k) const noexcept;

  WeightFormat format_ = WeightFormat::kF32;
  std::size_t outputs_ = 0, inputs_ = 0;
  std::size_t panel_ = 0;  // numbers
  AlignedBuffer data_;     // floats or BF16: [outputs / 8][inputs][8]; int8: [outputs / 8][inputs / 2][8][2]
  AlignedBuffer scales_;   // of int8: [outputs]
};

}  // namespace headwise
