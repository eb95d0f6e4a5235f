// Training, decoding and pruning of transformers.
#include "nn/adamw.hpp"
#include "transformer_choices.hpp"

namespace headwise::test {
namespace {

Choice choice_of(const char* name) {
  for (const Choice& choice : choices()) {
    if (choice.name == name) return choice;
  }
  FAIL("no such choice");
  return Choice("");
}

TEST_CASE("each step of training drops others; evaluation none; without targets there is no loss and no gradient") {
  Choice choice("gpt2");
  choice.config.dropout = 0.5f;
  Model model(choice);
  NaiveBatch batch = random_batch(choice, 1, 6, 1);
  NaiveTransformer<double> exact(model.transformer);
  Loss loss;
  for (exact.steps = 0; exact.steps < 3; ++exact.steps) {
    exact.training = true;
    REQUIRE(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
    CHECK(std::abs(loss.mean - exact.loss(batch)) < 1e-5);
    exact.training = false;
    REQUIRE(model.transformer.evaluate(batch.view(), loss, model.context) == Status::kOk);
    CHECK(std::abs(loss.mean - exact.loss(batch)) < 1e-5);
  }
  batch.targets.assign(6, kIgnored);
  REQUIRE(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
  CHECK(loss.count == 0);
  CHECK(loss.mean == 0.0);
  for (const Floats& zeros : model.gradients()) CHECK(zeros == Floats(zeros.size(), 0.0f));
}

// Sequences whose second half repeats the first. Loss and parameters after some steps.
std::pair<double, std::vector<Floats>> learn_to_copy(Choice choice, std::size_t threads, int steps) {
  TransformerConfig& config = choice.config;
  config.context_length = 12, config.embed_dim = 32, config.num_heads = 4, config.num_kv_heads = 4;
  config.head_dim = 8, config.feed_forward_dim = 64, config.scale = 0.3535533906f;
  Model model(choice.get(), threads);
  Moments moments;
  REQUIRE(moments.create(model.transformer) == Status::kOk);
  const std::size_t B = 16, L = 12;
  Loss loss;
  for (int t = 1; t <= steps; ++t) {
    NaiveBatch batch = random_batch(choice, B, L, 1000 + static_cast<std::uint32_t>(t));
    Integers &tokens = batch.tokens, &targets = batch.targets;
    targets.assign(B * L, -1);
    for (std::size_t row = 0; row < B * L; ++row) {
      if (row % L >= 6) tokens[row] = tokens[row - 6];
      if (row % L >= 6) targets[row - 1] = tokens[row];
    }
    REQUIRE(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
    const auto correction = [&](double beta) { return static_cast<float>(1 - std::pow(beta, t)); };
    moments.update({3e-3f, 0.9f, 0.99f, 1e-8f, 0.01f, correction(0.9), correction(0.99), 1.0f}, model.transformer,
                   model.context.pool);
  }
  return {loss.mean, NaiveTransformer<float>(model.transformer).parameters};
}

TEST_CASE("it learns to copy") {
  for (const char* name : {"gpt2", "llama"}) CHECK(learn_to_copy(choice_of(name), 1, 200).first < 0.1);
}

TEST_CASE("training gives the same bits from the same seed, on any number of threads") {
  Choice choice("gpt2");
  choice.config.dropout = 0.1f;
  const auto first = learn_to_copy(choice, 1, 4);
  for (const std::size_t threads : {1, kHasThreads ? 2 : 1, kHasThreads ? 4 : 1}) {
    const auto again = learn_to_copy(choice, threads, 4);
    CHECK(again.first == first.first);
    CHECK(again.second == first.second);
  }
  choice.config.seed = 4;
  CHECK(learn_to_copy(choice, 1, 4).second != first.second);
}

TEST_CASE("decoding step by step gives the logits of a whole forward pass") {
  for (Choice& choice : choices()) {
    if (!choice.config.head) continue;
    CAPTURE(choice.name);
    choice.config.causal = true;
    Model model(choice);
    const std::size_t L = 6, V = choice.config.vocab_size;
    NaiveBatch batch = random_batch(choice, 1, L, 5);
    batch.token_types.clear();  // of type 0
    const Doubles exact = NaiveTransformer<double>(model.transformer).forward(batch);
    Sequence sequence;
    REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
    for (int round = 0; round < 2; ++round) {  // what is forgotten has no effect
      sequence.reset();
      for (std::size_t begin = 0; begin < L; begin = static_cast<std::size_t>(sequence.length)) {
        const std::size_t count = begin == 0 ? 3 : 1;
        Floats logits(V);
        REQUIRE(model.transformer.decode(sequence, batch.tokens.data() + begin, count, logits.data(), nullptr,
                                         model.context) == Status::kOk);
        const std::size_t row = begin + count - 1;
        for (std::size_t v = 0; v < V; ++v) CHECK(std::abs(logits[v] - exact[row * V + v]) < 1e-5);
      }
    }
  }
}

TEST_CASE("a pruned model computes what one with gates of 0 does, and learns") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    Model model(choice);
    const TransformerConfig& config = choice.config;
    const std::size_t H = config.num_heads, B = 2;
    std::vector<std::uint32_t> kept, counts(config.layers);  // the first layer loses all heads, the others head 0
    for (std::size_t n = 0; n < config.layers; ++n) {
      for (std::uint32_t h = 0; h < H; ++h) {
        if (n > 0 && h > 0) kept.push_back(h), ++counts[n];
      }
    }
    model.transformer.attention(0).gates()[0] = 0.3f;
    Transformer smaller;
    REQUIRE(model.transformer.keep_heads(kept.data(), counts.data(), smaller) == Status::kOk);
    for (std::size_t n = 0; n < config.layers; ++n) {
      for (std::size_t h = 0; h < H; ++h) {
        if (n == 0 || h == 0) model.transformer.attention(n).gates()[h] = 0.0f;
      }
    }
    const NaiveBatch batch = random_batch(choice, B, choice.rows(), 1);
    const auto forward = [&](Transformer& transformer) {
      Floats results(config.classes > 0 ? B * config.classes : batch.rows() * config.vocab_size);
      Outputs outputs;
      (config.classes > 0 ? outputs.classes : outputs.logits) = results.data();
      REQUIRE(transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
      return results;
    };
    const Floats whole = forward(model.transformer), pruned = forward(smaller);
    for (std::size_t n = 0; n < whole.size(); ++n) CHECK(std::abs(whole[n] - pruned[n]) < 1e-5);
    Loss loss;
    REQUIRE(smaller.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
    CHECK(loss.mean > 0);
  }
}

TEST_CASE("initialisation: spreads as documented, and norms that change nothing") {
  Choice choice("gpt2");
  TransformerConfig& config = choice.config;
  config.vocab_size = 100, config.embed_dim = 64, config.num_heads = 4, config.num_kv_heads = 4, config.head_dim = 16;
  config.feed_forward_dim = 128, config.tie_embeddings = false;
  Context context;
  Transformer model;
  REQUIRE(model.create(choice.get()) == Status::kOk);
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

TEST_CASE("dropout on rows of more than one task, forwards and backwards") {
  Choice choice("gpt2");
  TransformerConfig& config = choice.config;
  config.dropout = 0.4f, config.context_length = 160, config.embed_dim = 40, config.layers = 1;
  Model model(choice);
  const NaiveBatch batch = random_batch(choice, 1, 160, 1);  // 6,400 numbers: 4,096 and some
  NaiveTransformer<double> exact(model.transformer);
  exact.training = true;
  Loss loss;
  REQUIRE(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
  const auto value = [&] { return exact.loss(batch); };
  CHECK(std::abs(loss.mean - value()) < 1e-5);
  const std::vector<Floats> gradients = model.gradients();
  for (const std::size_t index : {11, 17}) {  // biases of the attention's and of the feed-forward layer's output
    REQUIRE(exact.parameters[index].size() == 40);
    check_gradient(gradients[index].data(), central_differences(exact.parameters[index], value));
  }
}

TEST_CASE("no batch rows: no results, no loss, no gradients") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    Model model(choice);
    const NaiveBatch none = random_batch(choice, 0, choice.rows(), 1);
    float result = 7.0f;
    Outputs outputs;
    (choice.config.classes > 0 ? outputs.classes : outputs.logits) = &result;
    Loss loss;
    REQUIRE(model.transformer.forward(none.view(), outputs, model.context) == Status::kOk);
    CHECK(result == 7.0f);
    REQUIRE(model.transformer.evaluate(none.view(), loss, model.context) == Status::kOk);
    CHECK(loss.count == 0);
    REQUIRE(model.transformer.accumulate(none.view(), true, loss, model.context) == Status::kOk);
    CHECK(loss.mean == 0.0);
    for (const Floats& zeros : model.gradients()) CHECK(zeros == Floats(zeros.size(), 0.0f));
  }
}

TEST_CASE("the decode state grows with the text") {
  Choice choice("gpt2");
  choice.config.context_length = 1u << 30, choice.config.positions = Positions::kAlibi;
  Model model(choice);
  const std::size_t V = choice.config.vocab_size, length = 41;
  const NaiveBatch batch = random_batch(choice, 1, length, 5);
  Floats logits(V), expected(length * V);
  Outputs outputs;
  outputs.logits = expected.data();
  REQUIRE(model.transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
  Sequence sequence;
  REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
  std::size_t growths = 0;
  for (std::size_t n = 0; n < length; ++n) {
    const std::size_t before = sequence.caches[0].capacity();
    REQUIRE(model.transformer.decode(sequence, batch.tokens.data() + n, 1, logits.data(), nullptr, model.context) ==
            Status::kOk);
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

TEST_CASE("memory is given back") {
  const std::size_t before = bytes_in_use.load();
  {
    Choice choice = choice_of("llama");
    Model model(choice);
    const NaiveBatch batch = random_batch(choice, 1, 6, 1);
    Loss loss;
    REQUIRE(model.transformer.accumulate(batch.view(), false, loss, model.context) == Status::kOk);
    Sequence sequence;
    REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
    const std::size_t during = bytes_in_use.load();
    REQUIRE(model.transformer.accumulate(batch.view(), false, loss, model.context) == Status::kOk);
    CHECK(bytes_in_use.load() == during);
  }
  CHECK(bytes_in_use.load() == before);
}

}  // namespace
}  // namespace headwise::test
