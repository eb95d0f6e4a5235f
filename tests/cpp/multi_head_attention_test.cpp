#include "nn/multi_head_attention.hpp"

#include "support.hpp"

namespace headwise::test {
namespace {

using Config = MultiHeadAttentionConfig;
using Mha = MultiHeadAttention;

constexpr Config kConfig = {.embed_dim = 60,
                            .num_heads = 4,
                            .num_kv_heads = 4,
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
    start(context, threads);
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
                   .inputs = Inputs::kAll,
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
  module.context.tile_rows = tile_rows;
  REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
  check_room(module.context.arena);
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

// One head's rows [length, D] with the leading rope_dim numbers of row i rotated by the angles of position i + 2.
template <class T>
void naive_rotate(const Config& c, std::vector<T>& head, std::size_t length, T first_position) {
  const std::size_t pairs = c.rope_dim / 2;
  for (std::size_t i = 0; i < length; ++i) {
    for (std::size_t k = 0; k < pairs; ++k) {
      const T exponent = static_cast<T>(-2.0) * static_cast<T>(k) / static_cast<T>(c.rope_dim);
      const T angle = (static_cast<T>(i) + first_position) * std::pow(static_cast<T>(c.rope_base), exponent);
      T& x = head[i * c.head_dim + (c.rope_interleaved ? 2 * k : k)];
      T& y = head[i * c.head_dim + (c.rope_interleaved ? 2 * k + 1 : k + pairs)];
      const T rotated = std::cos(angle) * x - std::sin(angle) * y;
      y = std::sin(angle) * x + std::cos(angle) * y;
      x = rotated;
    }
  }
}

// The whole block, step by step in precision T, for causal attention from position `offset` on.
template <class T>
std::vector<T> naive_forward(Mha& mha, const Floats& query, const Floats& key, const Floats& value, std::size_t B,
                             std::size_t L, std::size_t S, int offset = 2) {
  const Config& c = mha.config();
  const auto q = project<T>(mha, Mha::kQuery, query, B * L);
  const auto k = project<T>(mha, Mha::kKey, key, B * S);
  const auto v = project<T>(mha, Mha::kValue, value, B * S);
  std::vector<T> concat(B * L * c.num_heads * c.value_head_dim);
  const auto distance = [&](std::size_t i, std::size_t j) {
    return static_cast<int>(i) + offset - static_cast<int>(j);
  };
  const auto visible = [&](std::size_t i, std::size_t j) { return distance(i, j) >= 0; };
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t h = 0; h < c.num_heads; ++h) {
      const auto bias = [&](std::size_t i, std::size_t j) {
        // Powers of two only: 2^(-8 (h + 1) / H).
        const T slope = std::exp2(static_cast<T>(-8.0) * static_cast<T>(h + 1) / static_cast<T>(c.num_heads));
        return c.alibi ? -slope * static_cast<T>(std::abs(distance(i, j))) : T{0};
      };
      const std::size_t g = mha.kv_heads()[h];
      auto q_head = slice_head(q, b * L, L, c.num_heads, h, c.head_dim);
      auto k_head = slice_head(k, b * S, S, c.num_kv_heads, g, c.head_dim);
      naive_rotate<T>(c, q_head, L, static_cast<T>(offset));
      naive_rotate<T>(c, k_head, S, T{0});
      const auto head =
          naive_head<T>(q_head, k_head, slice_head(v, b * S, S, c.num_kv_heads, g, c.value_head_dim), L, S, c.head_dim,
                        c.value_head_dim, static_cast<T>(c.scale), visible, bias, static_cast<T>(c.softcap));
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

// The options of a module, one by one and together.
std::vector<Config> variants() {
  std::vector<Config> configs(6, kConfig);
  configs[1].num_kv_heads = 2;
  configs[2].rope_dim = 14;
  configs[3].rope_dim = 6;
  configs[3].rope_interleaved = true;
  configs[3].rope_base = 100.0f;
  configs[4].alibi = true;
  configs[4].softcap = 0.6f;
  configs[5].num_kv_heads = 1;
  configs[5].alibi = true;
  configs[5].rope_dim = 8;
  return configs;
}

TEST_CASE("the block agrees with the double reference, on any number of threads") {
  for (const Config& config : variants()) {
    for (const auto& [B, L, S] : {std::array<std::size_t, 3>{1, 1, 1}, {2, 17, 15}, {1, 77, 40}, {3, 2, 30}}) {
      const Floats query = random_floats(B * L * 60, 1), key = random_floats(B * S * 33, 2);
      const Floats value = random_floats(B * S * 20, 3);
      Module module(config);
      module.mha.gates()[1] = 0.0f;
      module.mha.gates()[2] = -0.5f;
      const Result result = forward(module, query, key, value, B, L, S);
      check_close(result.output.data(), naive_forward<double>(module.mha, query, key, value, B, L, S),
                  naive_forward<float>(module.mha, query, key, value, B, L, S));
      CHECK(with_small_tiles([&] { return forward(module, query, key, value, B, L, S).output; }) == result.output);
      if (!kHasThreads) continue;
      Module threaded(config, 4);
      threaded.mha.gates()[1] = 0.0f;
      threaded.mha.gates()[2] = -0.5f;
      CHECK(forward(threaded, query, key, value, B, L, S).output == result.output);
    }
  }
}

TEST_CASE("tokens through a cache, some at once and then one by one, give the rows of one full causal pass") {
  const std::size_t B = 2, L = 23, E = 60;
  for (Config config : variants()) {
    config.key_dim = config.value_dim = E;
    Module module(config);
    const Floats x = random_floats(B * L * E, 1);
    const auto exact = naive_forward<double>(module.mha, x, x, x, B, L, L, 0);
    const auto naive = naive_forward<float>(module.mha, x, x, x, B, L, L, 0);
    KvCache cache;
    REQUIRE(cache.create(B, config.num_kv_heads, L, config.head_dim, config.value_head_dim) == Status::kOk);
    // Row 1 lags: it takes one token less in the first step.
    std::vector<std::int32_t> lengths = {0, 0};
    Floats output(B * L * config.output_dim);
    while (lengths[1] < static_cast<std::int32_t>(L)) {
      const std::size_t step = lengths[0] == 0 ? 9 : 1;
      std::vector<std::int32_t> after = lengths;
      Floats fresh(B * step * E), rows(B * step * config.output_dim);
      for (std::size_t b = 0; b < B; ++b) {
        after[b] = std::min<std::int32_t>(lengths[b] + static_cast<std::int32_t>(step), L);
        if (lengths[b] == 0 && b == 1) --after[b];
        for (std::int32_t t = lengths[b]; t < after[b]; ++t) {
          std::copy_n(x.begin() + (b * L + t) * E, E, fresh.begin() + (b * step + t - lengths[b]) * E);
        }
      }
      ForwardArgs args{.B = B,
                       .L = step,
                       .S = static_cast<std::size_t>(*std::max_element(after.begin(), after.end())),
                       .query = fresh.data(),
                       .visibility = {},
                       .cache = &cache,
                       .output = rows.data()};
      args.visibility.causal = true;
      args.visibility.offsets = lengths.data();
      args.visibility.key_lengths = after.data();
      REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
      for (std::size_t b = 0; b < B; ++b) {
        for (std::int32_t t = lengths[b]; t < after[b]; ++t) {
          std::copy_n(rows.begin() + (b * step + t - lengths[b]) * config.output_dim, config.output_dim,
                      output.begin() + (b * L + t) * config.output_dim);
        }
      }
      lengths = after;
    }
    check_close(output.data(), exact, naive);
  }
}

TEST_CASE("places of a cache that are still empty score 0, whatever they hold") {
  Config config = kConfig;
  config.key_dim = config.value_dim = 60;
  Module module(config);
  KvCache cache;
  REQUIRE(cache.create(2, 4, 8, 15, 17) == Status::kOk);
  std::fill_n(cache.keys().data, 2 * 4 * 8 * 15, kNaN);
  std::fill_n(cache.values().data, 2 * 4 * 8 * 17, kNaN);
  const Floats x = random_floats(2 * 5 * 60, 1);
  Floats output(2 * 5 * 31), weights(2 * 4 * 5 * 5, kNaN);
  const std::vector<std::int32_t> before = {0, 0}, after = {2, 5};
  ForwardArgs args{.B = 2,
                   .L = 5,
                   .S = 5,
                   .query = x.data(),
                   .visibility = {},
                   .cache = &cache,
                   .output = output.data(),
                   .weights = weights.data(),
                   .stage = WeightsStage::kScores};
  args.visibility.offsets = before.data();
  args.visibility.key_lengths = after.data();
  REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
  check_room(module.context.arena);
  for (const float value : output) CHECK(std::isfinite(value));
  for (std::size_t row = 0; row < 4 * 5; ++row) {
    for (std::size_t j = 0; j < 5; ++j) {
      CHECK((weights[row * 5 + j] == 0.0f) == (j >= 2));
      CHECK(std::isfinite(weights[(20 + row) * 5 + j]));
    }
  }
}

TEST_CASE("given positions stand in for places") {
  Config config = kConfig;
  config.rope_dim = 14;
  config.key_dim = config.value_dim = 60;
  Module module(config);
  const std::size_t L = 6;
  const Floats x = random_floats(L * 60, 1);
  Floats output(L * config.output_dim), shifted = output;
  ForwardArgs args{.B = 1, .L = L, .S = L, .query = x.data(), .visibility = {}, .output = output.data()};
  REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
  const std::vector<std::int32_t> positions = {1000, 1001, 1002, 1003, 1004, 1005};
  args.query_positions = args.key_positions = positions.data();
  args.output = shifted.data();
  REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
  for (std::size_t n = 0; n < output.size(); ++n) CHECK(shifted[n] == doctest::Approx(output[n]).epsilon(1e-4));
  const std::vector<std::int32_t> others = {0, 5, 1, 9, 2, 7};
  args.query_positions = args.key_positions = others.data();
  REQUIRE(module.mha.forward(args, module.context) == Status::kOk);
  CHECK(shifted[0] != doctest::Approx(output[0]).epsilon(1e-4));
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
  for (const Config& config : variants()) {
    Module module(config);
    const std::vector<std::vector<std::uint32_t>> kept_lists = {{0, 1, 2, 3}, {1, 3}, {2}, {}};
    for (const auto& kept : kept_lists) {
      Mha smaller;
      std::fill_n(module.mha.gates(), 4, 1.0f);
      REQUIRE(module.mha.keep_heads(kept.data(), kept.size(), smaller) == Status::kOk);
      std::fill_n(module.mha.gates(), 4, 0.0f);
      for (const std::uint32_t h : kept) module.mha.gates()[h] = 1.0f;
      const Result gated = forward(module, query, key, value, B, L, S);
      Module pruned(config);
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
}

TEST_CASE("a module that is created with few heads has the groups and slopes that pruning leaves") {
  const std::uint32_t kept[] = {1, 4, 5, 10};
  for (const std::size_t kv_heads : {12, 6, 3, 1}) {
    Config config = kConfig;
    config.num_heads = 12;
    config.num_kv_heads = kv_heads;
    config.alibi = true;
    Module module(config);
    Mha pruned, created;
    REQUIRE(module.mha.keep_heads(kept, 4, pruned) == Status::kOk);
    REQUIRE(created.create_kept(config, kept, 4) == Status::kOk);
    CHECK(created.config().num_heads == 4);
    CHECK(created.config().num_kv_heads == pruned.config().num_kv_heads);
    for (std::size_t h = 0; h < 4; ++h) {
      CHECK(created.kv_heads()[h] == pruned.kv_heads()[h]);
      CHECK(created.slopes()[h] == pruned.slopes()[h]);
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
