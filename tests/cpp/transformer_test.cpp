// The transformer, beside one in double precision.
#include "nn/transformer.hpp"

#include "naive_transformer.hpp"
#include "nn/adamw.hpp"

namespace headwise::test {
namespace {

using Integers = std::vector<std::int32_t>;

constexpr TransformerConfig kTiny = {.vocab_size = 7,
                                     .context_length = 6,
                                     .layers = 2,
                                     .embed_dim = 8,
                                     .num_heads = 2,
                                     .num_kv_heads = 2,
                                     .head_dim = 4,
                                     .feed_forward_dim = 10,
                                     .norm = NormKind::kLayer,
                                     .norm_epsilon = 1e-5f,
                                     .activation = Activation::kGelu,
                                     .positions = Positions::kLearned,
                                     .rope_dim = 4,
                                     .rope_base = 10000.0f,
                                     .rope_interleaved = false,
                                     .causal = true,
                                     .tie_embeddings = true,
                                     .dropout = 0.0f,
                                     .seed = 3};

// Every option at least once.
std::vector<TransformerConfig> configs() {
  std::vector<TransformerConfig> list(9, kTiny);
  list[1].norm = NormKind::kRms, list[1].activation = Activation::kSiluGated, list[1].positions = Positions::kRotary;
  list[1].num_heads = 4, list[1].num_kv_heads = 2;
  list[2].activation = Activation::kRelu, list[2].positions = Positions::kSinusoidal, list[2].tie_embeddings = false;
  list[2].embed_dim = 9, list[2].num_heads = 3, list[2].num_kv_heads = 3, list[2].head_dim = 3;
  list[3].positions = Positions::kAlibi, list[3].feed_forward_dim = 0;
  list[4].positions = Positions::kNone, list[4].causal = false, list[4].vocab_size = 13;
  list[5].dropout = 0.3f, list[5].layers = 1, list[5].embed_dim = 12, list[5].head_dim = 6;
  list[6].dropout = 0.2f, list[6].norm = NormKind::kRms, list[6].feed_forward_dim = 0, list[6].tie_embeddings = false;
  list[7].positions = Positions::kRotary, list[7].head_dim = 6, list[7].norm_epsilon = 0.05f;
  list[7].rope_base = 100.0f, list[7].rope_interleaved = true;
  list[8].embed_dim = 43, list[8].layers = 1, list[8].feed_forward_dim = 0;  // wider than a task of the embedding
  return list;
}

struct Model {
  Context context;
  Transformer transformer;

  // Biases and norms at random, so that they show.
  explicit Model(const TransformerConfig& config, std::size_t threads = 1) {
    start(context, threads);
    REQUIRE(transformer.create(config) == Status::kOk);
    REQUIRE(transformer.initialize(context) == Status::kOk);
    std::uint32_t seed = 100;
    transformer.for_each_parameter([&](const Parameter& parameter) {
      if (parameter.decay) return;
      const Floats random = random_floats(parameter.count, seed++, 0.3f);
      for (std::size_t n = 0; n < parameter.count; ++n) parameter.value[n] += random[n];
    });
  }

  std::vector<Floats> gradients() {
    std::vector<Floats> list;
    NaiveTransformer<float> shapes(transformer);
    for (std::size_t n = 0; n < shapes.parameters.size(); ++n) {
      list.emplace_back(shapes.parameters[n].size());
      parameter_at(transformer, n).read_gradient(list.back().data());
    }
    return list;
  }
};

Integers random_tokens(std::size_t count, std::size_t vocab_size, std::uint32_t seed) {
  std::mt19937 generator(seed);
  Integers tokens(count);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(generator() % vocab_size);
  return tokens;
}

TEST_CASE("logits, weights and heads agree with the reference") {
  for (const TransformerConfig& config : configs()) {
    for (const auto& [B, L] : {std::pair<std::size_t, std::size_t>{1, 1}, {2, 5}}) {
      Model model(config);
      model.transformer.attention(0).gates()[1] = -0.5f;
      const Integers tokens = random_tokens(B * L, config.vocab_size, 1);
      const std::size_t H = config.num_heads;
      Floats logits(B * L * config.vocab_size), plain = logits;
      std::vector<Floats> weights(config.layers, Floats(B * H * L * L)),
          heads(config.layers, Floats(B * H * L * config.embed_dim));
      std::vector<Capture> captures(config.layers);
      for (std::size_t n = 0; n < config.layers; ++n) {
        captures[n].weights = weights[n].data();
        captures[n].heads = heads[n].data();
        captures[n].head_output = HeadOutput::kContributions;
      }
      REQUIRE(model.transformer.forward({B, L, tokens.data()}, nullptr, plain.data(), model.context) == Status::kOk);
      REQUIRE(model.transformer.forward({B, L, tokens.data()}, captures.data(), logits.data(), model.context) ==
              Status::kOk);
      CHECK(logits == plain);
      NaiveTransformer<double> exact(model.transformer);
      NaiveTransformer<float> naive(model.transformer);
      const Doubles exact_logits = exact.forward(tokens, B, L);
      check_close(logits.data(), exact_logits, naive.forward(tokens, B, L));
      for (std::size_t n = 0; n < config.layers; ++n) {
        check_close(weights[n].data(), exact.weights[n], naive.weights[n]);
        check_close(heads[n].data(), exact.contributions[n], naive.contributions[n]);
      }
    }
  }
}

TEST_CASE("gradients are the slopes of the reference's loss, dropout included") {
  for (const TransformerConfig& config : configs()) {
    CAPTURE(static_cast<int>(config.positions));
    CAPTURE(config.dropout);
    const std::size_t B = 2, L = 6;
    Model model(config);
    model.transformer.attention(0).gates()[0] = 0.7f;
    const Integers tokens = random_tokens(B * L, config.vocab_size, 1);
    Integers targets = random_tokens(B * L, config.vocab_size, 2);
    targets[3] = targets[7] = kIgnored;
    const TokenBatch batch{B, L, tokens.data(), targets.data()};
    Loss loss;
    REQUIRE(model.transformer.accumulate(batch, false, loss, model.context) == Status::kOk);
    NaiveTransformer<double> exact(model.transformer);
    exact.training = true;
    const auto value = [&] { return exact.loss(tokens, targets, B, L); };
    CHECK(loss.count == B * L - 2);
    CHECK(std::abs(loss.mean - value()) < 1e-6 * value());
    std::vector<Doubles> slopes;
    for (Doubles& parameter : exact.parameters) slopes.push_back(central_differences(parameter, value));
    const std::vector<Floats> gradients = model.gradients();
    for (std::size_t n = 0; n < slopes.size(); ++n) {
      CAPTURE(n);
      check_gradient(gradients[n].data(), slopes[n]);
    }
    for (std::size_t n = 0; n < config.layers; ++n) {
      check_gradient(model.transformer.attention(n).gate_gradients(), central_differences(exact.gates[n], value));
    }
    if (config.dropout > 0) continue;  // the next step drops others
    REQUIRE(model.transformer.accumulate(batch, false, loss, model.context) == Status::kOk);
    for (Doubles& slope : slopes)
      std::transform(slope.begin(), slope.end(), slope.begin(), [](double s) { return 2 * s; });
    const std::vector<Floats> twice = model.gradients();
    for (std::size_t n = 0; n < slopes.size(); ++n) check_gradient(twice[n].data(), slopes[n]);
    REQUIRE(model.transformer.accumulate(batch, true, loss, model.context) == Status::kOk);
    CHECK(model.gradients() == gradients);
    model.transformer.zero_gradients();
    for (const Floats& zeros : model.gradients()) CHECK(zeros == Floats(zeros.size(), 0.0f));
  }
}

TEST_CASE("each step of training drops others; evaluation none; without targets there is no loss and no gradient") {
  TransformerConfig config = kTiny;
  config.dropout = 0.5f;
  Model model(config);
  const Integers tokens = random_tokens(6, 7, 1), none(6, kIgnored);
  const TokenBatch batch{1, 6, tokens.data(), tokens.data()};
  NaiveTransformer<double> exact(model.transformer);
  Loss loss;
  for (exact.steps = 0; exact.steps < 3; ++exact.steps) {
    exact.training = true;
    REQUIRE(model.transformer.accumulate(batch, true, loss, model.context) == Status::kOk);
    CHECK(std::abs(loss.mean - exact.loss(tokens, tokens, 1, 6)) < 1e-5);
    exact.training = false;
    REQUIRE(model.transformer.evaluate(batch, loss, model.context) == Status::kOk);
    CHECK(std::abs(loss.mean - exact.loss(tokens, tokens, 1, 6)) < 1e-5);
  }
  REQUIRE(model.transformer.accumulate({1, 6, tokens.data(), none.data()}, true, loss, model.context) == Status::kOk);
  CHECK(loss.count == 0);
  CHECK(loss.mean == 0.0);
  for (const Floats& zeros : model.gradients()) CHECK(zeros == Floats(zeros.size(), 0.0f));
}

TEST_CASE("dropout on rows of more than one task, forwards and backwards") {
  TransformerConfig config = kTiny;
  config.dropout = 0.4f, config.context_length = 160, config.embed_dim = 40, config.layers = 1;
  Model model(config);
  const std::size_t B = 1, L = 160;  // 6,400 numbers: 4,096 and some
  const Integers tokens = random_tokens(B * L, 7, 1), targets = random_tokens(B * L, 7, 2);
  NaiveTransformer<double> exact(model.transformer);
  exact.training = true;
  Loss loss;
  REQUIRE(model.transformer.accumulate({B, L, tokens.data(), targets.data()}, true, loss, model.context) ==
          Status::kOk);
  const auto value = [&] { return exact.loss(tokens, targets, B, L); };
  CHECK(std::abs(loss.mean - value()) < 1e-5);
  const std::vector<Floats> gradients = model.gradients();
  for (const std::size_t index : {11, 17}) {  // biases of the attention's and of the feed-forward layer's output
    REQUIRE(exact.parameters[index].size() == 40);
    check_gradient(gradients[index].data(), central_differences(exact.parameters[index], value));
  }
}

TEST_CASE("no batch rows: no logits, no loss, no gradients") {
  for (const TransformerConfig& config : configs()) {
    Model model(config);
    const std::int32_t token = 0;
    float logits = 7.0f;
    Loss loss;
    const TokenBatch none{0, 5, &token, &token};
    REQUIRE(model.transformer.forward(none, nullptr, &logits, model.context) == Status::kOk);
    CHECK(logits == 7.0f);
    REQUIRE(model.transformer.evaluate(none, loss, model.context) == Status::kOk);
    CHECK(loss.count == 0);
    REQUIRE(model.transformer.accumulate(none, true, loss, model.context) == Status::kOk);
    CHECK(loss.mean == 0.0);
    for (const Floats& zeros : model.gradients()) CHECK(zeros == Floats(zeros.size(), 0.0f));
  }
}

// Sequences whose second half repeats the first. Loss and parameters after some steps.
std::pair<double, std::vector<Floats>> learn_to_copy(TransformerConfig config, std::size_t threads, int steps) {
  config.context_length = 12, config.embed_dim = 32, config.num_heads = 4, config.num_kv_heads = 4;
  config.head_dim = 8, config.feed_forward_dim = 64;
  Model model(config, threads);
  Moments moments;
  REQUIRE(moments.create(model.transformer) == Status::kOk);
  const std::size_t B = 16, L = 12;
  Loss loss;
  for (int t = 1; t <= steps; ++t) {
    Integers tokens = random_tokens(B * L, config.vocab_size, 1000 + static_cast<std::uint32_t>(t)), targets(B * L, -1);
    for (std::size_t row = 0; row < B * L; ++row) {
      if (row % L >= 6) tokens[row] = tokens[row - 6];
      if (row % L >= 6) targets[row - 1] = tokens[row];
    }
    REQUIRE(model.transformer.accumulate({B, L, tokens.data(), targets.data()}, true, loss, model.context) ==
            Status::kOk);
    const auto correction = [&](double beta) { return static_cast<float>(1 - std::pow(beta, t)); };
    moments.update({3e-3f, 0.9f, 0.99f, 1e-8f, 0.01f, correction(0.9), correction(0.99), 1.0f}, model.transformer,
                   model.context.pool);
  }
  return {loss.mean, NaiveTransformer<float>(model.transformer).parameters};
}

TEST_CASE("it learns to copy") {
  for (const TransformerConfig& config : {kTiny, configs()[1]}) CHECK(learn_to_copy(config, 1, 200).first < 0.1);
}

TEST_CASE("training gives the same bits from the same seed, on any number of threads") {
  TransformerConfig config = kTiny;
  config.dropout = 0.1f;
  const auto first = learn_to_copy(config, 1, 4);
  for (const std::size_t threads : {1, kHasThreads ? 2 : 1, kHasThreads ? 4 : 1}) {
    const auto again = learn_to_copy(config, threads, 4);
    CHECK(again.first == first.first);
    CHECK(again.second == first.second);
  }
  config.seed = 4;
  CHECK(learn_to_copy(config, 1, 4).second != first.second);
}

TEST_CASE("decoding step by step gives the logits of a whole forward pass") {
  for (TransformerConfig config : configs()) {
    config.causal = true;
    Model model(config);
    const std::size_t L = 6, V = config.vocab_size;
    const Integers tokens = random_tokens(L, V, 5);
    const Doubles exact = NaiveTransformer<double>(model.transformer).forward(tokens, 1, L);
    Transformer::Sequence sequence;
    REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
    for (int round = 0; round < 2; ++round) {  // what is forgotten has no effect
      sequence.length = 0;
      for (std::size_t begin = 0; begin < L; begin = sequence.length) {
        const std::size_t count = begin == 0 ? 3 : 1;
        Floats logits(V);
        REQUIRE(model.transformer.decode(sequence, tokens.data() + begin, count, logits.data(), model.context) ==
                Status::kOk);
        const std::size_t row = begin + count - 1;
        for (std::size_t v = 0; v < V; ++v) CHECK(std::abs(logits[v] - exact[row * V + v]) < 1e-5);
      }
    }
  }
}

TEST_CASE("the decode state grows with the text") {
  TransformerConfig config = kTiny;
  config.context_length = 1u << 30, config.positions = Positions::kAlibi;
  Model model(config);
  const std::size_t V = config.vocab_size, length = 41;
  const Integers tokens = random_tokens(length, V, 5);
  Floats logits(V), expected(length * V);
  REQUIRE(model.transformer.forward({1, length, tokens.data()}, nullptr, expected.data(), model.context) ==
          Status::kOk);
  Transformer::Sequence sequence;
  REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
  std::size_t growths = 0;
  for (std::size_t n = 0; n < length; ++n) {
    const std::size_t before = sequence.caches[0].capacity();
    REQUIRE(model.transformer.decode(sequence, tokens.data() + n, 1, logits.data(), model.context) == Status::kOk);
    growths += sequence.caches[0].capacity() > before;
    CHECK(sequence.caches[0].capacity() <= 2 * n + 1);
    for (std::size_t v = 0; v < V; ++v) CHECK(std::abs(logits[v] - expected[n * V + v]) < 1e-5);
  }
  CHECK(growths <= 7);  // 1, 2, 4 … 64
}

TEST_CASE("a cache that cannot grow stays as it is") {
  KvCache cache;
  REQUIRE(cache.create(2, 2, 3, 2, 1) == Status::kOk);
  std::fill_n(cache.keys().data, 2 * 2 * 3 * 2, 1.0f);
  std::fill_n(cache.values().data, 2 * 2 * 3, 2.0f);
  for (const std::size_t b : {0, 1}) *cache.keys().at(b, 1, 1) = 5.0f + static_cast<float>(b);
  CHECK(cache.grow(SIZE_MAX / 8, 2) == Status::kOutOfMemory);
  CHECK(cache.capacity() == 3);
  CHECK(*cache.keys().at(1, 1, 1) == 6.0f);
  REQUIRE(cache.grow(9, 2) == Status::kOk);
  CHECK(cache.capacity() == 9);
  for (const std::size_t b : {0, 1}) {
    CHECK(*cache.keys().at(b, 1, 1) == 5.0f + static_cast<float>(b));
    CHECK(*cache.values().at(b, 1, 1) == 2.0f);
  }
}

TEST_CASE("a pruned model computes what one with gates of 0 does, and learns") {
  for (const TransformerConfig& config : configs()) {
    Model model(config);
    const std::size_t H = config.num_heads, B = 2, L = 6;
    std::vector<std::uint32_t> kept, counts(config.layers);  // the first layer loses all heads, the others head 0
    for (std::size_t n = 0; n < config.layers; ++n) {
      for (std::uint32_t h = 0; h < H; ++h) {
        if (n > 0 && h > 0) kept.push_back(h), ++counts[n];
      }
    }
    model.transformer.attention(0).gates()[0] = 0.3f;
    Transformer smaller;
    REQUIRE(model.transformer.keep_heads(kept.data(), counts.data(), smaller, model.context) == Status::kOk);
    for (std::size_t n = 0; n < config.layers; ++n) {
      for (std::size_t h = 0; h < H; ++h) {
        if (n == 0 || h == 0) model.transformer.attention(n).gates()[h] = 0.0f;
      }
    }
    const Integers tokens = random_tokens(B * L, config.vocab_size, 1);
    const TokenBatch batch{B, L, tokens.data(), tokens.data()};
    Floats whole(B * L * config.vocab_size), pruned = whole;
    REQUIRE(model.transformer.forward(batch, nullptr, whole.data(), model.context) == Status::kOk);
    REQUIRE(smaller.forward(batch, nullptr, pruned.data(), model.context) == Status::kOk);
    for (std::size_t n = 0; n < whole.size(); ++n) CHECK(std::abs(whole[n] - pruned[n]) < 1e-5);
    Loss loss;
    REQUIRE(smaller.accumulate(batch, true, loss, model.context) == Status::kOk);
    CHECK(loss.mean > 0);
  }
}

TEST_CASE("initialisation: spreads as documented, and norms that change nothing") {
  TransformerConfig config = kTiny;
  config.vocab_size = 100, config.embed_dim = 64, config.num_heads = 4, config.num_kv_heads = 4, config.head_dim = 16;
  config.feed_forward_dim = 128, config.tie_embeddings = false;
  Context context;
  Transformer model;
  REQUIRE(model.create(config) == Status::kOk);
  REQUIRE(model.initialize(context) == Status::kOk);
  NaiveTransformer<double> values(model);
  const auto deviation = [&](std::size_t index) {
    double sum = 0, squares = 0;
    for (const double value : values.parameters[index]) sum += value, squares += value * value;
    const auto count = static_cast<double>(values.parameters[index].size());
    return std::sqrt(squares / count - sum * sum / count / count);
  };
  const auto uniform = [](double inputs, double outputs) { return std::sqrt(2 / (inputs + outputs)); };
  const auto close = [](double ours, double expected, double tolerance = 0.05) {
    CHECK(std::abs(ours / expected - 1) < tolerance);
  };
  close(deviation(0), 0.02);                      // embeddings
  close(deviation(1), 0.02, 0.1);                 // positions, fewer
  close(deviation(4), uniform(64, 64));           // queries of layer 0, behind a norm's two vectors
  close(deviation(10), uniform(64, 64) / 2);      // output projection: sqrt(2 * 2 layers)
  close(deviation(14), uniform(64, 128));         // up
  close(deviation(16), uniform(64, 128) / 2);     // down
  close(deviation(36), uniform(64, 100));         // the output's own matrix
  CHECK(values.parameters[2] == Doubles(64, 1));  // norm1.weight
  CHECK(values.parameters[3] == Doubles(64, 0));
  CHECK(values.parameters.size() == 37);
}

TEST_CASE("memory is given back") {
  const std::size_t before = bytes_in_use.load();
  {
    Model model(configs()[1]);
    const Integers tokens = random_tokens(6, 7, 1);
    Loss loss;
    REQUIRE(model.transformer.accumulate({1, 6, tokens.data(), tokens.data()}, false, loss, model.context) ==
            Status::kOk);
    Transformer::Sequence sequence;
    REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
    const std::size_t during = bytes_in_use.load();
    REQUIRE(model.transformer.accumulate({1, 6, tokens.data(), tokens.data()}, false, loss, model.context) ==
            Status::kOk);
    CHECK(bytes_in_use.load() == during);
  }
  CHECK(bytes_in_use.load() == before);
}

}  // namespace
}  // namespace headwise::test
