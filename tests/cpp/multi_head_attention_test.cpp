#include "nn/multi_head_attention.hpp"

#include "support.hpp"

namespace headwise::test {
namespace {

using Config = MultiHeadAttentionConfig;
using Mha = MultiHeadAttention;

constexpr Config kConfig = {.embed_dim = 60,
                            .num_heads = 4,
                            .head_dim = 15,
                            .value_head_dim = 17,
                            .key_dim = 33,
                            .value_dim = 20,
                            .output_dim = 31,
                            .qkv_bias = true,
                            .out_bias = true,
                            .scale = 0.25f};

struct Module {
  Context context;
  Mha mha;

  explicit Module(const Config& config, std::size_t threads = 1) {
    REQUIRE(context.pool.start(threads) == Status::kOk);
    REQUIRE(mha.create(config) == Status::kOk);
    REQUIRE(mha.initialize(7, context) == Status::kOk);
    for (std::size_t p = 0; p < Mha::kProjections; ++p) {
      Linear& projection = mha.projection(p);
      if (!projection.has_bias()) continue;
      const Floats bias = random_floats(projection.outputs(), 20 + static_cast<std::uint32_t>(p));
      std::copy(bias.begin(), bias.end(), projection.bias());
    }
  }
};

struct Result {
  Floats output, weights, heads;
};

Result forward(Module& module, const Floats& query, const Floats& key, const Floats& value, std::size_t B,
               std::size_t L, std::size_t S, HeadOutput head_output = HeadOutput::kNone) {
  const Config& config = module.mha.config();
  const std::size_t width = head_output == HeadOutput::kValues ? config.value_head_dim : config.output_dim;
  Result result{Floats(B * L * config.output_dim), Floats(B * config.num_heads * L * S),
                Floats(head_output == HeadOutput::kNone ? 0 : B * config.num_heads * L * width)};
  ForwardArgs args{.B = B,
                   .L = L,
                   .S = S,
                   .query = query.data(),
                   .key = key.data(),
                   .value = value.data(),
                   .visibility = {},
                   .output = result.output.data(),
                   .weights = result.weights.data(),
                   .head_output = head_output,
                   .heads = result.heads.data()};
  args.visibility.causal = true;
  const std::int32_t offsets[] = {2, 2, 2};
  args.visibility.offsets = offsets;
  REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
  return result;
}

// x W^T + b in precision T.
template <class T, class X>
std::vector<T> project(Mha& mha, std::size_t index, const std::vector<X>& x, std::size_t rows) {
  Linear& linear = mha.projection(index);
  Floats weight(linear.inputs() * linear.outputs());
  linear.get_weight(weight.data());
  std::vector<T> out(rows * linear.outputs());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t n = 0; n < linear.outputs(); ++n) {
      T sum = linear.has_bias() ? static_cast<T>(linear.bias()[n]) : T{0};
      for (std::size_t k = 0; k < linear.inputs(); ++k) {
        sum += static_cast<T>(x[i * linear.inputs() + k]) * static_cast<T>(weight[n * linear.inputs() + k]);
      }
      out[i * linear.outputs() + n] = sum;
    }
  }
  return out;
}

// The whole block, step by step in precision T.
template <class T>
std::vector<T> naive_forward(Mha& mha, const Floats& query, const Floats& key, const Floats& value, std::size_t B,
                             std::size_t L, std::size_t S) {
  const Config& c = mha.config();
  const auto q = project<T>(mha, Mha::kQuery, query, B * L);
  const auto k = project<T>(mha, Mha::kKey, key, B * S);
  const auto v = project<T>(mha, Mha::kValue, value, B * S);
  std::vector<T> concat(B * L * c.num_heads * c.value_head_dim);
  const auto visible = [](std::size_t i, std::size_t j) { return j <= i + 2; };
  const auto no_bias = [](std::size_t, std::size_t) { return T{0}; };
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t h = 0; h < c.num_heads; ++h) {
      const auto head = naive_head<T>(slice_head(q, b * L, L, c.num_heads, h, c.head_dim),
                                      slice_head(k, b * S, S, c.num_heads, h, c.head_dim),
                                      slice_head(v, b * S, S, c.num_heads, h, c.value_head_dim), L, S, c.head_dim,
                                      c.value_head_dim, static_cast<T>(c.scale), visible, no_bias);
      const T gate = static_cast<T>(mha.gates()[h]);
      for (std::size_t i = 0; i < L; ++i) {
        for (std::size_t n = 0; n < c.value_head_dim; ++n) {
          concat[((b * L + i) * c.num_heads + h) * c.value_head_dim + n] = gate * head.output[i * c.value_head_dim + n];
        }
      }
    }
  }
  return project<T>(mha, Mha::kOut, concat, B * L);
}

TEST_CASE("the block agrees with the double reference, on any number of threads") {
  for (const auto& [B, L, S] : {std::array<std::size_t, 3>{1, 1, 1}, {2, 17, 15}, {1, 77, 40}}) {
    const Floats query = random_floats(B * L * 60, 1), key = random_floats(B * S * 33, 2);
    const Floats value = random_floats(B * S * 20, 3);
    Module module(kConfig);
    module.mha.gates()[1] = 0.0f;
    module.mha.gates()[2] = -0.5f;
    const Result result = forward(module, query, key, value, B, L, S);
    check_close(result.output.data(), naive_forward<double>(module.mha, query, key, value, B, L, S),
                naive_forward<float>(module.mha, query, key, value, B, L, S));
    if (!kHasThreads) continue;
    Module threaded(kConfig, 4);
    threaded.mha.gates()[1] = 0.0f;
    threaded.mha.gates()[2] = -0.5f;
    CHECK(forward(threaded, query, key, value, B, L, S).output == result.output);
  }
}

TEST_CASE("contributions and the output bias sum to the output; values are before the gate") {
  const std::size_t B = 2, L = 9, S = 11, H = 4;
  const Floats query = random_floats(B * L * 60, 1), key = random_floats(B * S * 33, 2);
  const Floats value = random_floats(B * S * 20, 3);
  Module module(kConfig);
  const Result open = forward(module, query, key, value, B, L, S, HeadOutput::kValues);
  const Floats gates = {1.0f, 0.0f, 2.0f, -0.5f};
  std::copy(gates.begin(), gates.end(), module.mha.gates());
  const Result plain = forward(module, query, key, value, B, L, S);
  const Result values = forward(module, query, key, value, B, L, S, HeadOutput::kValues);
  const Result contributions = forward(module, query, key, value, B, L, S, HeadOutput::kContributions);
  CHECK(values.heads == open.heads);
  CHECK(contributions.output == plain.output);
  for (std::size_t n = 0; n < plain.output.size(); ++n) {
    CHECK(values.output[n] == doctest::Approx(plain.output[n]).epsilon(1e-5));
  }
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t i = 0; i < L; ++i) {
      for (std::size_t n = 0; n < 31; ++n) {
        double sum = module.mha.projection(Mha::kOut).bias()[n];
        for (std::size_t h = 0; h < H; ++h) sum += contributions.heads[((b * H + h) * L + i) * 31 + n];
        CHECK(sum == doctest::Approx(plain.output[(b * L + i) * 31 + n]).epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("initialisation is Xavier-uniform and the same for the same seed") {
  Module one(kConfig), other(kConfig);
  for (std::size_t p = 0; p < Mha::kProjections; ++p) {
    Linear& linear = one.mha.projection(p);
    Floats a(linear.inputs() * linear.outputs()), b(a.size());
    linear.get_weight(a.data());
    other.mha.projection(p).get_weight(b.data());
    CHECK(a == b);
    const float bound = std::sqrt(6.0f / static_cast<float>(linear.inputs() + linear.outputs()));
    double sum = 0, squares = 0;
    for (const float w : a) {
      CHECK_FALSE(std::abs(w) > bound);
      sum += w;
      squares += static_cast<double>(w) * w;
    }
    const double count = static_cast<double>(a.size());
    CHECK(std::abs(sum / count) < 0.1 * bound);
    CHECK(squares / count == doctest::Approx(bound * bound / 3).epsilon(0.15));
  }
}

TEST_CASE("a pruned module computes what gates of zero compute") {
  const std::size_t B = 1, L = 12, S = 10;
  const Floats query = random_floats(B * L * 60, 1), key = random_floats(B * S * 33, 2);
  const Floats value = random_floats(B * S * 20, 3);
  Module module(kConfig);
  const std::vector<std::vector<std::uint32_t>> kept_lists = {{0, 1, 2, 3}, {1, 3}, {2}, {}};
  for (const auto& kept : kept_lists) {
    Mha smaller;
    std::fill_n(module.mha.gates(), 4, 1.0f);
    REQUIRE(module.mha.keep_heads(kept.data(), kept.size(), smaller, module.context) == Status::kOk);
    std::fill_n(module.mha.gates(), 4, 0.0f);
    for (const std::uint32_t h : kept) module.mha.gates()[h] = 1.0f;
    const Result gated = forward(module, query, key, value, B, L, S);
    Module pruned(kConfig);
    pruned.mha = std::move(smaller);
    const Result result = forward(pruned, query, key, value, B, L, S);
    for (std::size_t n = 0; n < gated.output.size(); ++n) {
      CHECK(result.output[n] == doctest::Approx(gated.output[n]).epsilon(1e-5));
    }
    if (kept.empty()) {
      for (std::size_t n = 0; n < 31; ++n) CHECK(result.output[n] == module.mha.projection(Mha::kOut).bias()[n]);
    }
  }
}

TEST_CASE("what does not fit in memory is a status, and changes nothing") {
  Config huge = kConfig;
  huge.embed_dim = huge.output_dim = std::size_t{1} << (sizeof(std::size_t) * 8 - 5);
  Mha mha;
  const std::size_t before = bytes_in_use.load();
  CHECK(mha.create(huge) == Status::kOutOfMemory);
  mha = Mha();
  CHECK(bytes_in_use.load() == before);
}

}  // namespace
}  // namespace headwise::test
