#include <algorithm>

#include "kernels/exp2.hpp"
#include "kernels/gemm.hpp"
#include "kernels/pack.hpp"
#include "support.hpp"

namespace headwise::test {
namespace {

float exp2_of(float x) {
  alignas(64) float lanes[simd::kLanes];
  simd::store(lanes, simd::Exp2()(simd::splat(x)));
  for (float lane : lanes) CHECK((lane == lanes[0] || std::isnan(lane)));
  return lanes[0];
}

TEST_CASE("exp2 is exact at the ends and close between") {
  CHECK(exp2_of(0.0f) == 1.0f);
  CHECK(exp2_of(-kInf) == 0.0f);
  CHECK(exp2_of(-1e30f) == 0.0f);
  CHECK(std::isnan(exp2_of(kNaN)));
  std::uint32_t payload = 0x7fc00001;
  float nan_with_payload;
  std::memcpy(&nan_with_payload, &payload, sizeof payload);
  CHECK(std::isnan(exp2_of(nan_with_payload)));
  for (float x = -125.0f; x <= 0.0f; x += 0.0137f) {
    const double exact = std::exp2(static_cast<double>(x));
    CHECK(std::abs(exp2_of(x) - exact) <= 2.5e-7 * exact);
  }
}

void check_panels(const RowPanels& panels, std::size_t rows, std::size_t most) {
  std::size_t next = 0;
  for (std::size_t p = 0; p < panels.count; ++p) {
    CHECK(panels.first_row(p) == next);
    CHECK(panels.rows(p) >= 1);
    CHECK(panels.rows(p) <= most);
    next += panels.rows(p);
  }
  CHECK(next == rows);
}

TEST_CASE("panels cover the rows, evenly") {
  for (std::size_t rows = 0; rows <= 200; ++rows) {
    check_panels(RowPanels(rows, tile_rows), rows, kTileRows);
    check_panels(with_small_tiles([&] { return RowPanels(rows, tile_rows); }), rows, 4);
  }
}

TEST_CASE("packing and unpacking are inverses, padding is zero") {
  for (const auto& [n, depth] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 5}, {8, 4}, {15, 17}, {24, 16}}) {
    const Floats rows = random_floats(n * depth, 1);
    Floats packed(packed_size(n, depth), 7.0f), back(n * depth);
    pack_rows(rows.data(), depth, n, depth, 1.0f, packed.data());
    unpack_rows(packed.data(), n, depth, back.data());
    CHECK(back == rows);
    double sum = 0, packed_sum = 0;
    for (float v : rows) sum += v;
    for (float v : packed) packed_sum += v;
    CHECK(packed_sum == doctest::Approx(sum));
  }
}

TEST_CASE("packing values tells whether all are finite") {
  for (const float bad : {kInf, -kInf, kNaN}) {
    for (std::size_t at = 0; at < 15 * 3; ++at) {
      Floats rows = random_floats(15 * 3, 2, 1e38f), packed(packed_size(15, 3));
      CHECK(pack_columns(rows.data(), 15, 3, 15, packed.data()));
      rows[at] = bad;
      CHECK_FALSE(pack_columns(rows.data(), 15, 3, 15, packed.data()));
    }
  }
}

TEST_CASE("gemm agrees with the double product for every edge") {
  for (const std::size_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 17, 48}) {
    for (const std::size_t columns : {1, 3, 8, 15, 16, 17, 32, 43}) {
      for (const std::size_t depth : {0, 1, 15, 64}) {
        const Floats a = random_floats(rows * depth, 3), w = random_floats(columns * depth, 4);
        const Floats bias = random_floats(columns, 5);
        Floats packed(packed_size(columns, depth)), out(rows * columns + 1, 42.0f), naive(rows * columns);
        std::vector<double> exact(rows * columns);
        pack_rows(w.data(), depth, columns, depth, 1.0f, packed.data());
        const RowPanels panels(rows, tile_rows);
        gemm(a.data(), depth, panels, {0, panels.count},
             PackedMatrix{packed.data(), columns, depth, depth * simd::kTile}, {0, simd::tiles(columns)}, Start::kBias,
             bias.data(), out.data(), columns);
        for (std::size_t i = 0; i < rows; ++i) {
          for (std::size_t n = 0; n < columns; ++n) {
            double sum = bias[n];
            float sum32 = bias[n];
            for (std::size_t k = 0; k < depth; ++k) {
              sum += static_cast<double>(a[i * depth + k]) * w[n * depth + k];
              sum32 += a[i * depth + k] * w[n * depth + k];
            }
            exact[i * columns + n] = sum;
            naive[i * columns + n] = sum32;
          }
        }
        check_close(out.data(), exact, naive);
        CHECK(out.back() == 42.0f);  // nothing beyond the last column is touched
      }
    }
  }
}

// A matrix inside a larger one whose other numbers must neither be read as values nor be written.
struct Window {
  Window(std::size_t row_count, std::size_t column_count, std::uint32_t seed)
      : rows(row_count),
        columns(column_count),
        stride(column_count + 5),
        all(random_floats(row_count * stride, seed)) {}
  double at(std::size_t i, std::size_t n) const { return all[i * stride + n]; }

  std::size_t rows, columns, stride;
  Floats all;
};

// Products added to what is there (or to nothing), for every height of a tile, narrow last tiles and strides.
void check_products(bool transposed, Start start) {
  for (const std::size_t rows : {1, 2, 3, 4, 5, 6, 13}) {
    for (const std::size_t columns : {1, 7, 8, 9, 16, 43}) {
      const std::size_t depth = 11;
      const Window a(transposed ? depth : rows, transposed ? rows : depth, 6), b(depth, columns, 7);
      Window out(rows, columns, 8);
      const Window before = out;
      Floats packed(packed_size(columns, depth));
      REQUIRE(pack_columns(b.all.data(), b.stride, depth, columns, packed.data()));
      const PackedMatrix matrix{packed.data(), columns, depth, depth * simd::kTile};
      const RowPanels panels(rows, tile_rows);
      if (transposed) {
        gemm_transposed(a.all.data(), a.stride, panels, matrix, out.all.data(), simd::kTile, out.stride);
      } else {
        gemm(a.all.data(), a.stride, panels, {0, panels.count}, matrix, {0, simd::tiles(columns)}, start, nullptr,
             out.all.data(), out.stride);
      }
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t n = 0; n < out.stride; ++n) {
          if (n >= columns) {
            CHECK(out.at(i, n) == before.at(i, n));
            continue;
          }
          double sum = start == Start::kOutput ? before.at(i, n) : 0;
          for (std::size_t k = 0; k < depth; ++k) sum += (transposed ? a.at(k, i) : a.at(i, k)) * b.at(k, n);
          CHECK(out.at(i, n) == doctest::Approx(sum).epsilon(1e-4));
        }
      }
    }
  }
}

TEST_CASE("a row by itself is bit for bit what it is among others") {
  const std::size_t rows = 6, depth = 37;
  for (const std::size_t columns : {5, 8, 27, 40, 43, 77}) {  // of 1 to 10 tiles, which a single row takes in thirds
    const Floats a = random_floats(rows * depth, 9), w = random_floats(columns * depth, 10);
    const Floats bias = random_floats(columns, 11), before = random_floats(rows * columns, 12);
    Floats packed(packed_size(columns, depth));
    pack_rows(w.data(), depth, columns, depth, 1.0f, packed.data());
    const auto multiply = [&](Start start, std::size_t first, std::size_t count, Floats& out) {
      const RowPanels panels(count, tile_rows);
      gemm(a.data() + first * depth, depth, panels, {0, panels.count},
           PackedMatrix{packed.data(), columns, depth, depth * simd::kTile}, {0, simd::tiles(columns)}, start,
           bias.data(), out.data() + first * columns, columns);
    };
    for (const Start start : {Start::kZero, Start::kBias, Start::kOutput}) {
      Floats together = before, alone = before;
      multiply(start, 0, rows, together);
      for (std::size_t i = 0; i < rows; ++i) multiply(start, i, 1, alone);
      CHECK(alone == together);
    }
  }
}

TEST_CASE("products add to what is there, and touch nothing else") {
  for (const Start start : {Start::kZero, Start::kOutput}) {
    check_products(false, start);
    with_small_tiles([&] { return check_products(false, start), 0; });
  }
  check_products(true, Start::kOutput);
  with_small_tiles([&] { return check_products(true, Start::kOutput), 0; });
}

}  // namespace
}  // namespace headwise::test
