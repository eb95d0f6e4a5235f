// Products of integers, beside exact ones: the same bits in every build and engine.
#include "kernels/gemm_int8.hpp"

#include "kernels/quantize.hpp"
#include "support.hpp"

namespace headwise::test {
namespace {

using Shorts = std::vector<std::int16_t>;
using Bytes = std::vector<std::int8_t>;

// The rules of quantize.hpp in scalars, with the rounding mode that all machines start in: to the nearest, even.
struct ScalarRow {
  float scale;
  std::vector<int> integers;
};
ScalarRow quantize_by_rule(const float* row, std::size_t count, std::size_t most) {
  float largest = 0.0f;
  bool finite = true;
  for (std::size_t k = 0; k < count; ++k) {
    finite = finite && std::isfinite(row[k]);
    largest = std::max(largest, std::abs(row[k]));
  }
  ScalarRow result{kNaN, std::vector<int>(count)};
  if (!finite) return result;
  result.scale = 0.0f;
  if (largest < std::ldexp(1.0f, -100)) return result;
  result.scale = largest / static_cast<float>(most);
  const float inverse = static_cast<float>(most) / largest;
  for (std::size_t k = 0; k < count; ++k) result.integers[k] = static_cast<int>(std::nearbyint(row[k] * inverse));
  return result;
}

void check_row(const Floats& row, std::size_t most) {
  const ScalarRow rule = quantize_by_rule(row.data(), row.size(), most);
  const Quantizer quantizer = quantizer_of(largest_magnitude(row.data(), row.size()), most);
  CHECK((quantizer.scale == rule.scale || (std::isnan(quantizer.scale) && std::isnan(rule.scale))));
  Shorts integers(row.size() + 1, 42);
  quantize(row.data(), row.size(), quantizer, integers.data());
  CHECK(integers.back() == 42);
  for (std::size_t k = 0; k < row.size(); ++k) REQUIRE(integers[k] == rule.integers[k]);
}

TEST_CASE("rows become the nearest integers, whatever they hold") {
  for (const std::size_t count : {1, 3, 7, 8, 15, 16, 17, 77, 384}) {
    for (const std::size_t most : {kMaxWeight, std::size_t{2047}, max_activation(count)}) {
      const Floats row = random_floats(count, 1, 3.0f);
      check_row(row, most);
      check_row(Floats(count, 0.0f), most);
      check_row(Floats(count, 1e-40f), most);  // denormal: zeros
      check_row(Floats(count, -3e38f), most);  // all of them the largest
      check_row(Floats(count, 0x1p-100f), most);
      for (const float one : {1e30f, -1e4f, 1e-30f, 1e-42f, kInf, -kInf, kNaN}) {
        Floats outlier = row;
        outlier[count / 2] = one;
        check_row(outlier, most);
      }
      Floats halves(count);  // halfway between integers: to the even one
      for (std::size_t k = 0; k < count; ++k) halves[k] = static_cast<float>(k % 5) + 0.5f;
      halves[0] = static_cast<float>(most);
      check_row(halves, most);
    }
  }
}

TEST_CASE("the largest of a row is any of its numbers, and NaN above all") {
  for (const std::size_t count : {1, 4, 9, 33}) {
    for (std::size_t at = 0; at < count; ++at) {
      Floats row = random_floats(count, 2);
      row[at] = -7.0f;
      CHECK(largest_magnitude(row.data(), count) == 7.0f);
      row[at] = kInf;
      CHECK(largest_magnitude(row.data(), count) == kInf);
      row[at] = -kNaN;
      CHECK(std::isnan(largest_magnitude(row.data(), count)));
    }
  }
  CHECK(largest_magnitude(nullptr, 0) == 0.0f);
}

struct Product {
  std::size_t rows, columns, depth;
  Shorts a;  // [rows, depth]
  Bytes b;   // [columns, depth]
  Floats row_scales, column_scales, bias, before;

  Floats exact(Start start) const {
    Floats out = before;
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t n = 0; n < columns; ++n) {
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < depth; ++k) sum += std::int64_t{a[i * depth + k]} * b[n * depth + k];
        REQUIRE(std::abs(sum) <= INT32_MAX);
        const float product = static_cast<float>(sum) * column_scales[n] * row_scales[i];
        float& to = out[i * columns + n];
        to = (start == Start::kOutput ? to : start == Start::kBias ? bias[n] : 0.0f) + product;
      }
    }
    return out;
  }

  Floats ours(Start start, std::size_t most_rows) const {
    const std::size_t pairs = (depth + 1) / 2, row = 2 * pairs + 2, tiles = simd::tiles(columns);
    Shorts padded(rows * row, 0);
    for (std::size_t i = 0; i < rows; ++i) std::copy_n(&a[i * depth], depth, &padded[i * row]);
    Bytes packed(tiles * pairs * 16, 0);
    for (std::size_t n = 0; n < columns; ++n) {
      for (std::size_t k = 0; k < depth; ++k) {
        packed[n / 8 * pairs * 16 + k / 2 * 16 + n % 8 * 2 + k % 2] = b[n * depth + k];
      }
    }
    Floats scales(tiles * 8, kNaN), out = before;
    std::copy(column_scales.begin(), column_scales.end(), scales.begin());
    const RowPanels panels(rows, most_rows);
    gemm_int8({padded.data(), row, row_scales.data()}, panels, {0, panels.count},
              {packed.data(), scales.data(), columns, pairs, pairs * 16}, {0, tiles}, start, bias.data(), out.data(),
              columns);
    return out;
  }
};

TEST_CASE("products of integers are exact, up to the largest sums") {
  std::mt19937 generator(3);
  for (const std::size_t depth : {1, 3, 15, 17, 77, 384, 577, 3072}) {
    const auto most = static_cast<int>(max_activation(depth));
    // Integers of the activations and of the weights: random ones, all extreme, one alone, none.
    const auto number = [&](int kind, int limit) {
      const int random = static_cast<int>(generator() % static_cast<unsigned>(2 * limit + 1)) - limit;
      return kind == 0 ? random : kind == 1 ? limit : kind == 2 ? -limit : kind == 3 ? random / limit * limit : 0;
    };
    for (const std::size_t rows : {1, 2, 3, 4, 5, 6, 17}) {
      const std::size_t columns = rows == 5 ? 77 : rows == 2 ? 1 : rows == 3 ? 15 : 17;
      for (int kind = 0; kind < 5; ++kind) {
        Product p{rows,
                  columns,
                  depth,
                  Shorts(rows * depth),
                  Bytes(columns * depth),
                  random_floats(rows, 1),
                  random_floats(columns, 2),
                  random_floats(columns, 3),
                  random_floats(rows * columns, 4)};
        for (auto& v : p.a) v = static_cast<std::int16_t>(number(kind, most));
        for (auto& v : p.b) v = static_cast<std::int8_t>(number(kind == 2 ? 1 : kind, kind == 1 ? 127 : 128));
        for (const Start start : {Start::kZero, Start::kBias, Start::kOutput}) {
          const Floats exact = p.exact(start);
          CHECK(p.ours(start, kInt8TileRows) == exact);
          CHECK(p.ours(start, 4) == exact);
        }
      }
    }
  }
}

TEST_CASE("as many bits as sums of 32 bits have room for") {
  for (const std::uint64_t depth : {1, 511, 512, 513, 768, 3072, 14336, 132104}) {
    const std::uint64_t most = max_activation(depth);
    CHECK(most * 128 * depth <= INT32_MAX);
    CHECK((most == INT16_MAX || (most + 1) * 128 * depth > INT32_MAX));
  }
}

}  // namespace
}  // namespace headwise::test
