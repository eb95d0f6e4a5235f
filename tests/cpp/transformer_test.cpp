// The transformer, beside one in double precision.
#include "nn/transformer.hpp"

#include "transformer_choices.hpp"

namespace headwise::test {
namespace {

// What one forward pass gives.
struct Results {
  Floats logits, hidden, pooled, classes;
  std::vector<Floats> weights, heads;
};

Results run(Model& model, const NaiveBatch& batch, bool capture, const Integers& logit_rows = {}) {
  const TransformerConfig& c = model.transformer.config();
  const std::size_t B = batch.B, L = batch.L, H = c.num_heads;
  Results results;
  results.logits.resize(c.head ? (logit_rows.empty() ? B * L : B) * c.vocab_size : 0);
  results.hidden.resize(B * L * c.embed_dim);
  results.pooled.resize(c.pooling == Pooling::kNone ? 0 : B * c.embed_dim);
  results.classes.resize(B * c.classes);
  std::vector<Capture> captures(c.layers);
  for (std::size_t n = 0; n < c.layers; ++n) {
    results.weights.emplace_back(B * H * L * L);
    results.heads.emplace_back(B * H * L * c.embed_dim);
    captures[n].weights = results.weights[n].data();
    captures[n].heads = results.heads[n].data();
    captures[n].head_output = HeadOutput::kContributions;
  }
  const auto data = [](auto& values) { return values.empty() ? nullptr : values.data(); };
  Outputs outputs;
  outputs.logits = data(results.logits);
  outputs.logit_rows = data(logit_rows);
  outputs.hidden = data(results.hidden);
  outputs.pooled = data(results.pooled);
  outputs.classes = data(results.classes);
  if (capture) outputs.captures = captures.data();
  REQUIRE(model.transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
  check_room(model.context.arena);
  return results;
}

// Everything that a forward pass gives, beside the oracle's.
void check_forward(Model& model, const NaiveBatch& batch) {
  const TransformerConfig& config = model.transformer.config();
  const Results plain = run(model, batch, false), results = run(model, batch, true);
  CHECK(results.logits == plain.logits);
  NaiveTransformer<double> exact(model.transformer);
  NaiveTransformer<float> naive(model.transformer);
  const Doubles exact_logits = exact.forward(batch);
  const Floats naive_logits = naive.forward(batch);
  if (config.head) check_close(results.logits.data(), exact_logits, naive_logits);
  if (config.classes > 0) check_close(results.classes.data(), exact_logits, naive_logits);
  check_close(results.hidden.data(), exact.hidden, naive.hidden);
  check_close(results.pooled.data(), exact.pooled, naive.pooled);
  for (std::size_t n = 0; n < config.layers; ++n) {
    check_close(results.weights[n].data(), exact.weights[n], naive.weights[n]);
    check_close(results.heads[n].data(), exact.contributions[n], naive.contributions[n]);
  }
}

TEST_CASE("logits, hidden states, weights and heads agree with the reference, for every choice") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    for (const std::size_t B : {1, 2}) {
      const std::size_t L = choice.patches > 0 ? choice.rows() : B == 1 ? 1 : 5;
      Model model(choice);
      model.transformer.attention(0).gates()[1] = -0.5f;
      check_forward(model, random_batch(choice, B, L, 1));
    }
  }
}

TEST_CASE("padding on either side, positions, and rows whose logits are wanted") {
  for (Choice& choice : choices()) {
    if (choice.patches > 0) continue;
    CAPTURE(choice.name);
    const std::size_t L = 5, V = choice.config.vocab_size;
    Model model(choice);
    NaiveBatch batch = random_batch(choice, 2, L, 1);
    batch.mask = {1, 1, 1, 0, 0, 0, 0, 1, 1, 1};
    if (choice.config.positions != Positions::kAlibi) batch.positions = {0, 1, 2, 3, 4, 0, 0, 0, 1, 2};
    batch.pooled_rows = {2, 3};
    check_forward(model, batch);
    if (!choice.config.head) continue;
    const Floats all = run(model, batch, false).logits, some = run(model, batch, false, {2, 4}).logits;
    for (std::size_t v = 0; v < V; ++v) {
      CHECK(some[v] == all[2 * V + v]);
      CHECK(some[V + v] == all[(L + 4) * V + v]);
    }
  }
}

// Gradients of everything beside the slopes of the oracle's loss.
void check_gradients(Choice& choice, Model& model, const NaiveBatch& batch) {
  Loss loss;
  REQUIRE(model.transformer.accumulate(batch.view(), false, loss, model.context) == Status::kOk);
  check_room(model.context.arena);
  NaiveTransformer<double> exact(model.transformer);
  exact.training = true;
  const auto value = [&] { return exact.loss(batch); };
  CHECK(std::abs(loss.mean - value()) < 1e-6 * value());
  std::vector<Doubles> slopes;
  for (Doubles& parameter : exact.parameters) slopes.push_back(central_differences(parameter, value));
  const std::vector<Floats> gradients = model.gradients();
  for (std::size_t n = 0; n < slopes.size(); ++n) {
    CAPTURE(n);
    check_gradient(gradients[n].data(), slopes[n]);
  }
  const auto check_gates = [&] {
    for (std::size_t n = 0; n < choice.config.layers; ++n) {
      check_gradient(model.transformer.attention(n).gate_gradients(), central_differences(exact.gates[n], value));
    }
  };
  check_gates();
  exact.training = false;  // gates alone: without dropout
  REQUIRE(model.transformer.accumulate_gates(batch.view(), true, loss, model.context) == Status::kOk);
  check_room(model.context.arena);
  check_gates();
  CHECK(model.gradients() == gradients);
}

TEST_CASE("gradients are the slopes of the reference's loss for every choice, dropout included") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    Model model(choice);
    model.transformer.attention(0).gates()[0] = 0.7f;
    NaiveBatch batch = random_batch(choice, 2, choice.rows(), 1);
    if (choice.config.head) batch.targets[3] = batch.targets[7] = kIgnored;
    check_gradients(choice, model, batch);
  }
}

TEST_CASE("gradients with padding and positions; gradients accumulate, begin anew and are zeroed") {
  for (Choice& choice : choices()) {
    if (choice.patches > 0 || choice.config.dropout > 0) continue;  // each step draws a new mask
    CAPTURE(choice.name);
    Model model(choice);
    NaiveBatch batch = random_batch(choice, 2, 5, 1);
    batch.mask = {1, 1, 1, 0, 0, 0, 0, 1, 1, 1};
    if (choice.config.positions != Positions::kAlibi) batch.positions = {0, 1, 2, 3, 4, 0, 0, 0, 1, 2};
    batch.pooled_rows = {2, 3};
    check_gradients(choice, model, batch);
    const std::vector<Floats> once = model.gradients();
    Loss loss;
    REQUIRE(model.transformer.accumulate(batch.view(), false, loss, model.context) == Status::kOk);
    const std::vector<Floats> twice = model.gradients();
    for (std::size_t n = 0; n < once.size(); ++n) {
      Doubles doubled(once[n].begin(), once[n].end());
      for (double& gradient : doubled) gradient *= 2;
      check_gradient(twice[n].data(), doubled);
    }
    REQUIRE(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
    CHECK(model.gradients() == once);
    model.transformer.zero_gradients();
    for (const Floats& zeros : model.gradients()) CHECK(zeros == Floats(zeros.size(), 0.0f));
  }
}

TEST_CASE("gates' gradients alone take no room for those of parameters") {
  Choice choice("gpt2");
  Model model(choice);
  const NaiveBatch batch = random_batch(choice, 2, 6, 1);
  Loss loss;
  REQUIRE(model.transformer.accumulate_gates(batch.view(), true, loss, model.context) == Status::kOk);
  model.transformer.for_each_parameter([](const Parameter& parameter) { CHECK(parameter.gradient == nullptr); });
  const Floats first(model.transformer.attention(0).gate_gradients(),
                     model.transformer.attention(0).gate_gradients() + 2);
  REQUIRE(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kOk);
  CHECK(std::equal(first.begin(), first.end(), model.transformer.attention(0).gate_gradients()));
}

}  // namespace
}  // namespace headwise::test
