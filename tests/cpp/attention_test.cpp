// Attention against the double reference: shapes, groups and every option.
#include "attention_cases.hpp"

namespace headwise::test {
namespace {

const std::vector<AttentionShape> kShapes = {
    // B, H, G, L, S, D, Dv
    {1, 1, 1, 1, 1, 1, 1},    {1, 1, 1, 3, 3, 4, 4},     {2, 3, 3, 15, 17, 15, 15},   {1, 4, 2, 17, 15, 8, 3},
    {1, 2, 2, 1, 33, 64, 64}, {2, 2, 1, 48, 48, 16, 24}, {1, 4, 4, 77, 77, 15, 15},   {1, 2, 2, 128, 131, 64, 17},
    {2, 6, 3, 2, 70, 20, 9},  {3, 8, 1, 4, 9, 5, 130},   {1, 12, 12, 1, 200, 64, 64}, {1, 2, 2, 5, 9, 12, 8}};

// Everything that may be masked, by itself and in pairs.
std::vector<Case> masked_variants(const Case& plain) {
  std::vector<Case> cases = {plain};
  const auto add = [&](const auto& change) {
    cases.push_back(plain);
    change(cases.back());
  };
  const AttentionShape& s = plain.shape;
  std::vector<std::int32_t> lengths(s.B), offsets(s.B);
  for (std::size_t b = 0; b < s.B; ++b) {
    lengths[b] = static_cast<std::int32_t>(s.S / (b + 2));
    offsets[b] = static_cast<std::int32_t>(5 * b) - 2;
  }
  add([&](Case& c) { c.causal = true; });
  for (const std::int32_t offset : {3, -1000, std::numeric_limits<std::int32_t>::max()}) {
    if (offset > 3 && !plain.slopes.empty())
      continue;  // float32 cannot tell such distances apart, nor can the reference
    add([&](Case& c) {
      c.causal = true;
      c.offsets.assign(s.B, offset);
    });
  }
  add([&](Case& c) { c.window = {4, 0}; });
  add([&](Case& c) { c.window = {0, 11}; });
  add([&](Case& c) {
    c.window = {9, 2};
    c.offsets = offsets;
    c.key_lengths = lengths;
    c.float_mask = true;
  });
  add([&](Case& c) {
    c.causal = c.float_mask = true;
    c.window.left = 20;
  });
  add([&](Case& c) {
    c.float_mask = true;
    c.key_lengths = lengths;
    c.mask_columns = s.S / 2 + 1;
  });
  add([&](Case& c) {
    c.integer_mask = true;
    c.mask_columns = s.S > 3 ? s.S - 1 : 0;
    c.gates = random_floats(s.H, 9);
    c.gates[0] = 0.0f;
  });
  return cases;
}

TEST_CASE("attention agrees with the double reference for every shape and mask") {
  for (const AttentionShape& shape : kShapes) {
    for (const bool in_rows : {true, false}) {
      Case c{.shape = shape};
      c.heads_in_rows = in_rows;
      for (const Case& masked : masked_variants(c)) check(masked);
    }
  }
}

TEST_CASE("heads of more than one wave agree with the double reference") {
  for (const AttentionShape& shape : std::initializer_list<AttentionShape>{
           {3, 4, 4, 130, 130, 64, 64}, {2, 6, 3, 40, 700, 64, 40}, {5, 4, 4, 64, 90, 96, 64}}) {
    for (const bool in_rows : {true, false}) {
      Case c{.shape = shape};
      c.heads_in_rows = in_rows;
      c.causal = !in_rows;
      check(c);
    }
  }
}

TEST_CASE("softcap and ALiBi agree with the double reference, with every mask") {
  for (const AttentionShape& shape : {kShapes[3], kShapes[6], kShapes[8]}) {
    Case c{.shape = shape};
    c.softcap = 0.7f;
    for (const Case& masked : masked_variants(c)) check(masked);
    c.slopes = random_floats(shape.H, 11, 0.5f);
    for (const Case& masked : masked_variants(c)) check(masked);
    c.softcap = 0.0f;
    for (const Case& masked : masked_variants(c)) check(masked);
  }
}

TEST_CASE("uneven groups read the heads that their table names") {
  for (const std::size_t L : {1, 3, 20}) {
    Case c{.shape = {2, 5, 3, L, 30, 12, 8}};
    c.kv_heads = {0, 1, 1, 1, 2};
    for (const Case& masked : masked_variants(c)) check(masked);
  }
}

TEST_CASE("no keys, no queries or no heads: zeros of the right shape") {
  for (const AttentionShape& shape : std::initializer_list<AttentionShape>{{2, 2, 2, 9, 0, 8, 8},
                                                                           {2, 2, 2, 3, 0, 8, 8},
                                                                           {1, 2, 2, 0, 7, 8, 8},
                                                                           {0, 2, 2, 7, 7, 8, 8},
                                                                           {1, 0, 0, 7, 7, 8, 8}}) {
    const Case c{.shape = shape};
    for (const float value : run(c, Inputs(shape), 1, true).output) CHECK(value == 0.0f);
  }
}

TEST_CASE("large scores neither overflow nor lose the largest") {
  Case c{.shape = {1, 2, 2, 17, 33, 8, 8}};
  c.scale = 1000.0f;
  check(c);
  c.scale = 0.0f;
  check(c);
}

}  // namespace
}  // namespace headwise::test
