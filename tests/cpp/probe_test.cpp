// What is read and changed inside a transformer, and gradients with respect to it, beside central differences.
#include "nn/probe.hpp"

#include "transformer_choices.hpp"

namespace headwise::test {
namespace {

constexpr Place kAllPlaces[] = {Place::kBefore, Place::kQuery,     Place::kKey,    Place::kValue,       Place::kWeights,
                                Place::kHeads,  Place::kAttention, Place::kMiddle, Place::kFeedForward, Place::kAfter};

PlaceShape shape_at(Model& model, std::size_t layer, Place place, const NaiveBatch& batch) {
  const MultiHeadAttentionConfig& c = model.transformer.attention(layer).config();
  const std::size_t B = batch.B, L = batch.L;
  switch (place) {
    case Place::kQuery:
    case Place::kHeads:
      return {B, c.num_heads, L, c.head_dim};
    case Place::kKey:
    case Place::kValue:
      return {B, c.num_kv_heads, L, c.head_dim};
    case Place::kWeights:
      return {B, c.num_heads, L, L};
    default:
      return {B, 1, L, c.embed_dim};
  }
}

std::size_t count_of(const PlaceShape& shape) { return shape.B * shape.H * shape.L * shape.D; }

// What `captures` of all layers see, one vector a layer and place.
struct Captured {
  std::vector<std::vector<Floats>> values;
  std::vector<Probe> probes;

  Captured(Model& model, const NaiveBatch& batch) {
    for (std::size_t n = 0; n < model.transformer.config().layers; ++n) {
      values.emplace_back();
      probes.emplace_back();
      for (Place place : kAllPlaces) {
        Floats& to = values[n].emplace_back(count_of(shape_at(model, n, place, batch)));
        probes[n].captures[static_cast<int>(place)] = to.data();
      }
    }
  }
};

// Logits with a probe in each layer.
Floats logits_with(Model& model, const NaiveBatch& batch, const std::vector<Probe>& probes) {
  Floats logits(batch.rows() * model.transformer.config().vocab_size);
  std::vector<Capture> captures(probes.size());
  for (std::size_t n = 0; n < probes.size(); ++n) captures[n].probe = probes[n];
  Outputs outputs;
  outputs.logits = logits.data();
  outputs.captures = captures.data();
  REQUIRE(model.transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
  check_room(model.context.arena);
  return logits;
}

// The mean difference of two logits of the last row, when `value` is added to one element at a place.
double metric_with(Model& model, const NaiveBatch& batch, std::size_t layer, Place place, std::size_t element,
                   float value, const Integers& answer, const Integers& against) {
  const PlaceShape shape = shape_at(model, layer, place, batch);
  Floats change(count_of(shape));
  change[element] = value;
  Edit edit{place, Edit::Operation::kAdd};
  edit.values = change.data();
  const std::size_t strides[] = {shape.H * shape.L * shape.D, shape.L * shape.D, shape.D, 1};
  std::copy_n(strides, 4, edit.strides);
  std::vector<Probe> probes(model.transformer.config().layers);
  probes[layer].edits = &edit;
  probes[layer].edit_count = 1;
  const Floats logits = logits_with(model, batch, probes);
  const std::size_t V = model.transformer.config().vocab_size;
  double sum = 0.0;
  for (std::size_t b = 0; b < batch.B; ++b) {
    const float* row = logits.data() + (b * batch.L + batch.L - 1) * V;
    sum += double{row[answer[b]]} - row[against[b]];
  }
  return sum / static_cast<double>(batch.B);
}

TEST_CASE("gradients at every place agree with central differences, for every choice with logits") {
  for (Choice& choice : choices()) {
    if (!choice.config.head || choice.patches > 0) continue;
    CAPTURE(choice.name);
    Model model(choice);
    model.transformer.attention(0).gates()[1] = 0.5f;
    const NaiveBatch batch = random_batch(choice, 2, 4, 1);
    const Integers rows(2, 3), answer = {1, 2}, against = {3, 0};
    Captured gradients(model, batch);
    double value = 0.0;
    const LogitMetric metric{rows.data(), answer.data(), against.data()};
    REQUIRE(model.transformer.differentiate(batch.view(), metric, gradients.probes.data(), value, model.context) ==
            Status::kOk);
    CHECK(value ==
          doctest::Approx(metric_with(model, batch, 0, Place::kBefore, 0, 0.0f, answer, against)).epsilon(1e-4));
    Captured captured(model, batch);
    logits_with(model, batch, captured.probes);
    for (std::size_t n = 0; n < choice.config.layers; ++n) {
      for (Place place : kAllPlaces) {
        CAPTURE(static_cast<int>(place));
        const Floats& gradient = gradients.values[n][static_cast<int>(place)];
        double most = 1e-3;
        for (float slope : gradient) most = std::max(most, std::abs(double{slope}));
        // Of the values: embeddings are small, and norms enlarge a step. A probe does not capture weights that it does
        // not change.
        float largest = place == Place::kWeights ? 1.0f : 0.0f;
        for (float x : captured.values[n][static_cast<int>(place)]) largest = std::max(largest, std::abs(x));
        if (largest == 0.0f) continue;  // a layer without feed-forward
        const float step = 0.004f * largest;
        for (std::size_t element = 0; element < gradient.size(); element += 1 + gradient.size() / 7) {
          const double up = metric_with(model, batch, n, place, element, step, answer, against);
          const double down = metric_with(model, batch, n, place, element, -step, answer, against);
          CHECK(std::abs((up - down) / (2.0 * step) - gradient[element]) < 0.02 * most + 1e-6 / step);
        }
      }
    }
  }
}

TEST_CASE("what is captured and put back changes nothing, and one thread or two see the same") {
  for (Choice& choice : choices()) {
    if (!choice.config.head || choice.patches > 0) continue;
    CAPTURE(choice.name);
    Model model(choice);
    const NaiveBatch batch = random_batch(choice, 2, 5, 1);
    Captured captured(model, batch);
    const Floats plain = logits_with(model, batch, std::vector<Probe>(choice.config.layers));
    CHECK(logits_with(model, batch, captured.probes) == plain);
    for (std::size_t n = 0; n < choice.config.layers; ++n) {
      for (Place place : kAllPlaces) {
        if (place == Place::kWeights) continue;  // the sum of given weights is taken in another order
        const PlaceShape shape = shape_at(model, n, place, batch);
        const Floats& values = captured.values[n][static_cast<int>(place)];
        Edit edit{place, Edit::Operation::kSet};
        edit.values = values.data();
        const std::size_t strides[] = {shape.H * shape.L * shape.D, shape.L * shape.D, shape.D, 1};
        std::copy_n(strides, 4, edit.strides);
        std::vector<Probe> probes(choice.config.layers);
        probes[n].edits = &edit;
        probes[n].edit_count = 1;
        CHECK(logits_with(model, batch, probes) == plain);
      }
    }
  }
}

}  // namespace
}  // namespace headwise::test
