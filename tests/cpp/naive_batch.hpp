// A batch of the transformer's inputs that owns its numbers.
#pragma once

#include "nn/transformer.hpp"
#include "support.hpp"

namespace headwise::test {

using Integers = std::vector<std::int32_t>;

// What a transformer reads, with the memory that a Batch points to. Empty: not given.
struct NaiveBatch {
  std::size_t B, L;
  Integers tokens{}, positions{}, token_types{}, mask{}, targets{}, pooled_rows{};
  Floats patches{};

  std::size_t rows() const { return B * L; }
  Batch view() const {
    const auto data = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
    Batch batch{B, L};
    batch.tokens = data(tokens);
    batch.patches = data(patches);
    batch.positions = data(positions);
    batch.token_types = data(token_types);
    batch.mask = data(mask);
    batch.targets = data(targets);
    batch.pooled_rows = data(pooled_rows);
    return batch;
  }
};

}  // namespace headwise::test
