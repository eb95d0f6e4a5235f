// Matrices in each format, and linear layers with them.
#include "nn/weights.hpp"

#include <bit>

#include "kernels/quantize.hpp"
#include "nn/linear.hpp"
#include "support.hpp"

namespace headwise::test {
namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kInt8};
const std::pair<std::size_t, std::size_t> kSizes[] = {{1, 1},   {3, 15},   {8, 16},  {15, 17},
                                                      {17, 77}, {31, 384}, {9, 577}, {24, 3072}};

Weights weights_of(const Floats& rows, std::size_t outputs, std::size_t inputs, WeightFormat format) {
  Weights weights;
  REQUIRE(weights.create(outputs, inputs, format) == Status::kOk);
  REQUIRE(weights.set_rows(0, outputs, rows.data()));
  return weights;
}

Floats floats_of(const Weights& weights) {
  Floats rows(weights.outputs() * weights.inputs());
  weights.get_rows(0, weights.outputs(), rows.data());
  return rows;
}

TEST_CASE("F32 keeps numbers, BF16 rounds to the nearest, int8 to within half a step of its row") {
  for (const auto& [outputs, inputs] : kSizes) {
    Floats rows = random_floats(outputs * inputs, 1);
    rows[inputs / 2] = 25.0f;                                   // an outlier makes its own row coarse, and no other
    if (outputs > 2) std::fill_n(&rows[inputs], inputs, 0.0f);  // zeros
    if (outputs > 2) std::fill_n(&rows[2 * inputs], inputs, 1e-41f);  // denormals
    CHECK(floats_of(weights_of(rows, outputs, inputs, WeightFormat::kF32)) == rows);
    const Floats bf16 = floats_of(weights_of(rows, outputs, inputs, WeightFormat::kBf16));
    const Floats int8 = floats_of(weights_of(rows, outputs, inputs, WeightFormat::kInt8));
    CHECK(floats_of(weights_of(bf16, outputs, inputs, WeightFormat::kBf16)) == bf16);
    for (std::size_t n = 0; n < outputs; ++n) {
      float largest = 0.0f;
      for (std::size_t k = 0; k < inputs; ++k) largest = std::max(largest, std::abs(rows[n * inputs + k]));
      for (std::size_t k = n * inputs; k < (n + 1) * inputs; ++k) {
        REQUIRE(std::abs(bf16[k] - rows[k]) <= std::abs(rows[k]) * 0x1p-8 + 1e-40);
        REQUIRE(std::abs(int8[k] - rows[k]) <= largest / 254 * 1.0001 + 1e-40);
      }
    }
  }
}

TEST_CASE("BF16 rounds as IEEE does, and keeps infinities and NaN") {
  const Floats rows = {1.0f, 1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f, kInf, -kInf, kNaN, 1e-45f, -0.0f};
  const Floats bf16 = floats_of(weights_of(rows, 1, rows.size(), WeightFormat::kBf16));
  const Floats expected = {1.0f, 1.0f, 1.015625f, -1.0f, kInf, kInf, -kInf, kNaN, 0.0f, -0.0f};
  for (std::size_t n = 0; n < rows.size(); ++n) {
    CHECK((bf16[n] == expected[n] || (std::isnan(bf16[n]) && std::isnan(expected[n]))));
  }
}

TEST_CASE("int8 refuses what it cannot hold, and stays as it was") {
  for (const float bad : {kInf, -kInf, kNaN}) {
    const Floats rows = random_floats(16 * 5, 1);
    Weights weights = weights_of(rows, 16, 5, WeightFormat::kInt8);
    const Floats before = floats_of(weights);
    for (std::size_t at = 0; at < rows.size(); at += 7) {
      Floats spoiled = random_floats(16 * 5, 2);
      spoiled[at] = bad;
      CHECK_FALSE(weights.set_rows(0, 16, spoiled.data()));
      CHECK(floats_of(weights) == before);
    }
  }
  Weights deep;
  CHECK(deep.create(1, 132104, WeightFormat::kInt8) == Status::kOk);
  CHECK(deep.create(1, 132200, WeightFormat::kInt8) == Status::kInvalidArgument);
}

TEST_CASE("rows are set and read in parts, as floats and as they are") {
  for (const WeightFormat format : kFormats) {
    for (const auto& [outputs, inputs] : kSizes) {
      const Floats rows = random_floats(outputs * inputs, 1);
      const Weights whole = weights_of(rows, outputs, inputs, format);
      const Floats floats = floats_of(whole);
      Weights parts, raw;
      REQUIRE(parts.create(outputs, inputs, format) == Status::kOk);
      REQUIRE(raw.create(outputs, inputs, format) == Status::kOk);
      for (std::size_t n = 0; n < outputs; n += 8) {
        const std::size_t count = std::min<std::size_t>(8, outputs - n);
        CHECK(parts.set_rows(n, count, &rows[n * inputs]));
        std::vector<std::uint32_t> numbers(count * inputs);
        Floats scales(count);
        whole.get_raw_rows(n, count, numbers.data(), scales.data());
        raw.set_raw_rows(n, count, numbers.data(), scales.data());
        Floats some(count * inputs);
        whole.get_rows(n, count, some.data());
        CHECK(std::equal(some.begin(), some.end(), &floats[n * inputs]));
        if (format != WeightFormat::kInt8) continue;
        const auto* integers = reinterpret_cast<const std::int8_t*>(numbers.data());
        for (std::size_t i = 0; i < some.size(); ++i) CHECK(some[i] == scales[i / inputs] * integers[i]);
      }
      CHECK(floats_of(parts) == floats);
      CHECK(floats_of(raw) == floats);
    }
  }
}

TEST_CASE("a part of a matrix keeps the numbers of its rows and columns") {
  const std::size_t outputs = 20, inputs = 15, width = 5;
  const std::uint32_t rows[] = {3, 0}, columns[] = {2, 0};
  for (const WeightFormat format : kFormats) {
    const Weights whole = weights_of(random_floats(outputs * inputs, 1), outputs, inputs, format);
    Weights part;
    REQUIRE(part.create(2 * width, 2 * width, format) == Status::kOk);
    part.keep(whole, {rows, width}, {columns, width});
    const Floats from = floats_of(whole), kept = floats_of(part);
    for (std::size_t n = 0; n < 2 * width; ++n) {
      for (std::size_t k = 0; k < 2 * width; ++k) {
        const std::size_t row = rows[n / width] * width + n % width, column = columns[k / width] * width + k % width;
        CHECK(kept[n * 2 * width + k] == from[row * inputs + column]);
      }
    }
  }
}

struct Layer {
  Context context;
  Linear linear;

  Layer(std::size_t inputs, std::size_t outputs, WeightFormat format, std::size_t threads = 1) {
    start(context, threads);
    REQUIRE(linear.create(inputs, outputs, true, format) == Status::kOk);
    REQUIRE(Linear::make_room(format, context) == Status::kOk);
    linear.set_weight(random_floats(inputs * outputs, 1).data());
    const Floats bias = random_floats(outputs, 2);
    std::copy(bias.begin(), bias.end(), linear.bias());
  }

  Floats forward(const Floats& x, std::size_t rows, Range inputs, Start start) {
    context.tile_rows = tile_rows;
    Floats out(rows * linear.outputs(), 0.25f);
    linear.forward_inputs(inputs, start, x.data(), rows, out.data(), context);
    return out;
  }
};

TEST_CASE("layers with BF16 weights compute the bits of F32 with the same numbers") {
  for (const auto& [outputs, inputs] : kSizes) {
    Layer narrow(inputs, outputs, WeightFormat::kBf16), wide(inputs, outputs, WeightFormat::kF32);
    wide.linear.set_weight(floats_of(narrow.linear.weight()).data());
    for (const std::size_t rows : {1, 2, 5, 13}) {
      const Floats x = random_floats(rows * inputs, 3);
      for (const Range part : {Range{0, inputs}, Range{inputs / 3, inputs}, Range{inputs / 2, inputs / 2}}) {
        for (const Start start : {Start::kZero, Start::kBias, Start::kOutput}) {
          CHECK(narrow.forward(x, rows, part, start) == wide.forward(x, rows, part, start));
        }
      }
    }
  }
}

// By the rules, in scalars: activations as integers, exact sums, scales. Any build that computes this computes the bits
// of all others.
Floats int8_by_rule(Layer& layer, const Floats& x, std::size_t rows, Range part, Start start) {
  const Weights& weights = layer.linear.weight();
  const std::size_t inputs = weights.inputs(), outputs = weights.outputs(), count = part.end - part.begin;
  const std::size_t most = max_activation((part.end + 1) / 2 * 2 - part.begin / 2 * 2);
  std::vector<std::int8_t> integers(outputs * inputs);
  Floats scales(outputs), out(rows * outputs, 0.25f);
  weights.get_raw_rows(0, outputs, integers.data(), scales.data());
  std::vector<std::int16_t> row(count);
  for (std::size_t i = 0; i < rows; ++i) {
    const float* from = &x[i * inputs] + part.begin;
    const Quantizer quantizer = quantizer_of(largest_magnitude(from, count), most);
    quantize(from, count, quantizer, row.data());
    for (std::size_t n = 0; n < outputs; ++n) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < count; ++k) sum += std::int64_t{row[k]} * integers[n * inputs + part.begin + k];
      float& to = out[i * outputs + n];
      const float before = start == Start::kOutput ? to : start == Start::kBias ? layer.linear.bias()[n] : 0.0f;
      to = before + static_cast<float>(sum) * scales[n] * quantizer.scale;
    }
  }
  return out;
}

TEST_CASE("layers with int8 weights compute the bits that the rules say, for any rows, parts, tiles and threads") {
  for (const auto& [outputs, inputs] : kSizes) {
    Layer layer(inputs, outputs, WeightFormat::kInt8);
    for (const std::size_t rows : {1, 2, 5, 13, 200}) {
      const Floats x = random_floats(rows * inputs, 3);
      for (const Range part : {Range{0, inputs}, Range{inputs / 3, inputs - inputs / 4}, Range{inputs, inputs}}) {
        for (const Start start : {Start::kZero, Start::kBias, Start::kOutput}) {
          const Floats exact = int8_by_rule(layer, x, rows, part, start), ours = layer.forward(x, rows, part, start);
          CHECK(ours == exact);
          CHECK(with_small_tiles([&] { return layer.forward(x, rows, part, start); }) == exact);
        }
      }
      for (const std::size_t threads : {2, 4}) {
        if (!kHasThreads) continue;
        Layer shared(inputs, outputs, WeightFormat::kInt8, threads);
        CHECK(shared.forward(x, rows, {0, inputs}, Start::kBias) == layer.forward(x, rows, {0, inputs}, Start::kBias));
      }
    }
  }
}

TEST_CASE("layers with int8 weights give these bits in every build") {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const auto& [outputs, inputs] : kSizes) {
    Layer layer(inputs, outputs, WeightFormat::kInt8);
    const std::size_t rows = 33;
    Floats x = random_floats(rows * inputs, 3, 2.0f);
    x[inputs / 2] = 1e4f;
    for (const float value : layer.forward(x, rows, {0, inputs}, Start::kBias)) {
      hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x100000001b3;
    }
  }
  CHECK(hash == 0xbb9044d7361b06fa);
}

TEST_CASE("int8 products are as close as 15 bits or 12, and rows that are not finite spoil no other") {
  for (const auto& [outputs, inputs] : kSizes) {
    Layer layer(inputs, outputs, WeightFormat::kInt8), exact(inputs, outputs, WeightFormat::kF32);
    exact.linear.set_weight(floats_of(layer.linear.weight()).data());
    Floats x = random_floats(4 * inputs, 3);
    x[inputs / 2] = 100.0f;  // an outlier of the first row
    const Floats ours = layer.forward(x, 4, {0, inputs}, Start::kBias);
    const Floats theirs = exact.forward(x, 4, {0, inputs}, Start::kBias);
    for (std::size_t n = 0; n < ours.size(); ++n) {
      const double step = (n < outputs ? 100.0 : 1.0) / static_cast<double>(max_activation(inputs));
      CHECK(std::abs(ours[n] - theirs[n]) <= step * std::sqrt(static_cast<double>(inputs)) + 2e-5);
    }
    for (const float bad : {kInf, -kInf, kNaN}) {
      Floats spoiled = x;
      spoiled[inputs + inputs / 2] = bad;
      const Floats out = layer.forward(spoiled, 4, {0, inputs}, Start::kBias);
      for (std::size_t n = 0; n < out.size(); ++n) {
        if (n / outputs == 1) {
          CHECK(std::isnan(out[n]));
        } else {
          CHECK(out[n] == ours[n]);
        }
      }
    }
    Floats tiny(inputs, 1e-42f);
    const Floats out = layer.forward(tiny, 1, {0, inputs}, Start::kBias);
    for (std::size_t n = 0; n < outputs; ++n) CHECK(out[n] == layer.linear.bias()[n]);
  }
}

TEST_CASE("gradients of inputs pass through every format, those of weights need F32") {
  for (const WeightFormat format : {WeightFormat::kBf16, WeightFormat::kInt8}) {
    for (const auto& [outputs, inputs] : kSizes) {
      Layer narrow(inputs, outputs, format), wide(inputs, outputs, WeightFormat::kF32);
      wide.linear.set_weight(floats_of(narrow.linear.weight()).data());
      CHECK(narrow.linear.enable_gradients() == Status::kNotF32);
      const std::size_t rows = 7;
      const Floats x = random_floats(rows * inputs, 3), gradient = random_floats(rows * outputs, 4);
      Floats scratch(narrow.linear.backward_scratch(1)), of_narrow(rows * inputs, 0.5f), of_wide = of_narrow;
      for (const bool add : {true, false}) {
        narrow.linear.backward(x.data(), gradient.data(), rows, of_narrow.data(), add, false, scratch.data(),
                               narrow.context);
        wide.linear.backward(x.data(), gradient.data(), rows, of_wide.data(), add, false, scratch.data(), wide.context);
        CHECK(of_narrow == of_wide);
      }
    }
  }
}

}  // namespace
}  // namespace headwise::test
