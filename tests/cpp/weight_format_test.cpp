// Whole models in BF16 and int8, beside the reference with the same numbers.
#include "transformer_choices.hpp"

namespace headwise::test {
namespace {

constexpr WeightFormat kNarrow[] = {WeightFormat::kBf16, WeightFormat::kInt8};

TransformerConfig in_format(Choice& choice, WeightFormat format) {
  TransformerConfig config = choice.get();
  config.weight_format = format;
  return config;
}

// The same numbers in F32.
std::unique_ptr<Model> widened(Model& model, const TransformerConfig& config, std::size_t threads = 1) {
  TransformerConfig wide = config;
  wide.weight_format = WeightFormat::kF32;
  auto result = std::make_unique<Model>(wide, threads);
  std::size_t n = 0;
  result->transformer.for_each_parameter([&](const Parameter& parameter) {
    Floats values(parameter.count);
    parameter_at(model.transformer, n++).read_value(values.data());
    CHECK(parameter.write_value(values.data()));
  });
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    std::copy_n(model.transformer.attention(layer).gates(), config.num_heads,
                result->transformer.attention(layer).gates());
  }
  return result;
}

// Hidden states, and logits or classes.
Floats forward(Model& model, Transformer& transformer, const NaiveBatch& batch,
               std::vector<Capture>* captures = nullptr) {
  const TransformerConfig& c = transformer.config();
  const std::size_t hidden = batch.rows() * c.embed_dim;
  Floats results(hidden + batch.B * c.classes + (c.head ? batch.rows() * c.vocab_size : 0));
  Outputs outputs;
  outputs.hidden = results.data();
  if (c.classes > 0) outputs.classes = results.data() + hidden;
  if (c.head) outputs.logits = results.data() + hidden + batch.B * c.classes;
  if (captures != nullptr) outputs.captures = captures->data();
  REQUIRE(transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
  return results;
}
Floats forward(Model& model, const NaiveBatch& batch) { return forward(model, model.transformer, batch); }

double distance(const Floats& a, const Floats& b) {
  double worst = 0, largest = 0;
  for (std::size_t n = 0; n < a.size(); ++n) {
    worst = std::max<double>(worst, std::abs(a[n] - b[n]));
    largest = std::max<double>(largest, std::abs(b[n]));
  }
  return worst / largest;
}

TEST_CASE("models in BF16 compute the bits of F32 with the same numbers, int8 the same up to its activations") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    for (const WeightFormat format : kNarrow) {
      const TransformerConfig config = in_format(choice, format);
      Model model(config);
      model.transformer.attention(0).gates()[1] = -0.5f;
      const auto wide = widened(model, config);
      const NaiveBatch batch = random_batch(choice, 2, choice.patches > 0 ? choice.rows() : 5, 1);
      const Floats ours = forward(model, batch), theirs = forward(*wide, batch);
      if (format == WeightFormat::kBf16) {
        CHECK(ours == theirs);
      } else {
        CHECK(distance(ours, theirs) < 5e-4);
        CHECK(ours != theirs);
      }
      for (const std::size_t threads : {2, 4}) {
        if (!kHasThreads) continue;
        Model shared(config, threads);
        shared.transformer.attention(0).gates()[1] = -0.5f;
        CHECK(forward(shared, batch) == ours);
      }
    }
  }
}

TEST_CASE("pruned models in every format compute what gates of 0 do, with the numbers of the whole") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    for (const WeightFormat format : kNarrow) {
      const TransformerConfig config = in_format(choice, format);
      Model model(config);
      std::vector<std::uint32_t> kept, counts(config.layers);
      for (std::size_t n = 0; n < config.layers; ++n) {
        for (std::uint32_t h = 1; h < config.num_heads; h += 2) kept.push_back(h), ++counts[n];
      }
      Transformer smaller;
      REQUIRE(model.transformer.keep_heads(kept.data(), counts.data(), smaller) == Status::kOk);
      CHECK(smaller.config().weight_format == format);
      for (std::size_t n = 0; n < config.layers; ++n) {
        for (std::size_t h = 0; h < config.num_heads; h += 2) model.transformer.attention(n).gates()[h] = 0.0f;
      }
      const NaiveBatch batch = random_batch(choice, 2, choice.patches > 0 ? choice.rows() : 5, 1);
      const Floats gated = forward(model, batch), pruned = forward(model, smaller, batch);
      CHECK(distance(pruned, gated) < (format == WeightFormat::kBf16 ? 1e-5 : 5e-4));
    }
  }
}

TEST_CASE("captured contributions sum to the output in every format") {
  for (const WeightFormat format : kNarrow) {
    Choice choice = choices()[0];
    const TransformerConfig config = in_format(choice, format);
    Model model(config);
    const auto wide = widened(model, config);
    const std::size_t B = 2, L = 5, E = config.embed_dim, H = config.num_heads;
    const NaiveBatch batch = random_batch(choice, B, L, 1);
    const auto heads_of = [&](Model& m) {
      std::vector<Floats> heads(config.layers, Floats(B * H * L * E));
      std::vector<Capture> captures(config.layers);
      for (std::size_t n = 0; n < config.layers; ++n) {
        captures[n].heads = heads[n].data();
        captures[n].head_output = HeadOutput::kContributions;
      }
      forward(m, m.transformer, batch, &captures);
      return heads;
    };
    const auto ours = heads_of(model), theirs = heads_of(*wide);
    for (std::size_t n = 0; n < config.layers; ++n) CHECK(distance(ours[n], theirs[n]) < 5e-4);
  }
}

TEST_CASE("gates have gradients in every format, parameters in F32 alone") {
  for (Choice& choice : choices()) {
    if (!choice.config.head && choice.config.classes == 0) continue;
    CAPTURE(choice.name);
    for (const WeightFormat format : kNarrow) {
      const TransformerConfig config = in_format(choice, format);
      Model model(config);
      const auto wide = widened(model, config);
      const NaiveBatch batch = random_batch(choice, 2, choice.patches > 0 ? choice.rows() : 5, 1);
      const auto gates_of = [&](Model& m) {
        Loss loss;
        REQUIRE(m.transformer.accumulate_gates(batch.view(), true, loss, m.context) == Status::kOk);
        Floats gradients;
        for (std::size_t n = 0; n < config.layers; ++n) {
          const float* of_layer = m.transformer.attention(n).gate_gradients();
          gradients.insert(gradients.end(), of_layer, of_layer + config.num_heads);
        }
        return gradients;
      };
      const Floats ours = gates_of(model), theirs = gates_of(*wide);
      if (format == WeightFormat::kBf16) CHECK(ours == theirs);
      CHECK(distance(ours, theirs) < 5e-3);
      const Floats before = forward(model, batch);
      Loss loss;
      CHECK(model.transformer.accumulate(batch.view(), true, loss, model.context) == Status::kNotF32);
      CHECK(model.transformer.enable_gradients() == Status::kNotF32);
      CHECK(forward(model, batch) == before);
      CHECK(gates_of(model) == ours);
    }
  }
}

TEST_CASE("tokens one by one and all at once give the same logits in every format") {
  for (Choice& choice : choices()) {
    if (!choice.config.head || !choice.config.causal || choice.patches > 0) continue;
    CAPTURE(choice.name);
    for (const WeightFormat format : kNarrow) {
      const TransformerConfig config = in_format(choice, format);
      Model model(config);
      const NaiveBatch batch = random_batch(choice, 1, 5, 1);
      const std::size_t V = config.vocab_size;
      const Floats all = forward(model, batch);
      Sequence sequence;
      REQUIRE(model.transformer.start_sequence(sequence) == Status::kOk);
      for (std::size_t i = 0; i < 5; ++i) {
        Floats logits(V);
        REQUIRE(model.transformer.decode(sequence, &batch.tokens[i], 1, logits.data(), nullptr, model.context) ==
                Status::kOk);
        const auto row = all.begin() + static_cast<std::ptrdiff_t>(5 * config.embed_dim + i * V);
        CHECK(distance(logits, Floats(row, row + static_cast<std::ptrdiff_t>(V))) < 1e-3);
      }
    }
  }
}

}  // namespace
}  // namespace headwise::test
