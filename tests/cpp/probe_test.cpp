// What is read and changed inside a transformer, and gradients with respect to it, beside central differences.
#include "nn/probe.hpp"

#include "transformer_choices.hpp"

namespace headwise::test {
namespace {

constexpr Place kPlacesWithGradients[] = {Place::kBefore,      Place::kQuery, Place::kKey,       Place::kValue,
                                          Place::kWeights,     Place::kHeads, Place::kAttention, Place::kMiddle,
                                          Place::kFeedForward, Place::kAfter};
constexpr Place kScales[] = {Place::kNorm1,      Place::kNorm1After, Place::kNorm2,
                             Place::kNorm2After, Place::kQueryNorm,  Place::kKeyNorm};

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
    case Place::kQueryNorm:
      return {B, c.num_heads, L, 1};
    case Place::kKeyNorm:
      return {B, c.num_kv_heads, L, 1};
    case Place::kNorm1:
    case Place::kNorm1After:
    case Place::kNorm2:
    case Place::kNorm2After:
      return {B, 1, L, 1};
    default:
      return {B, 1, L, c.embed_dim};
  }
}

std::size_t count_of(const PlaceShape& shape) { return shape.B * shape.H * shape.L * shape.D; }

// What `captures` of all layers see, one vector a layer and place.
struct Captured {
  std::vector<std::vector<Floats>> values;
  std::vector<Probe> probes;

  std::vector<Capture> captures() const {
    std::vector<Capture> list(probes.size());
    for (std::size_t n = 0; n < probes.size(); ++n) list[n].probe = probes[n];
    return list;
  }

  Captured(Model& model, const NaiveBatch& batch) {
    for (std::size_t n = 0; n < model.transformer.config().layers; ++n) {
      values.emplace_back();
      probes.emplace_back();
      for (std::size_t place = 0; place < kPlaces; ++place) {
        values[n].emplace_back(count_of(shape_at(model, n, static_cast<Place>(place), batch)));
        probes[n].captures[place] = values[n].back().data();
      }
    }
  }
};

// Logits with a capture of each layer.
Floats logits_with(Model& model, const NaiveBatch& batch, const std::vector<Capture>& captures) {
  Floats logits(batch.rows() * model.transformer.config().vocab_size);
  Outputs outputs;
  outputs.logits = logits.data();
  outputs.captures = captures.data();
  REQUIRE(model.transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
  check_room(model.context.arena);
  return logits;
}

// An edit of everything at a place.
Edit edit_of(const PlaceShape& shape, Place place, Edit::Operation operation, const Floats& values) {
  Edit edit{place, operation};
  edit.values = values.data();
  const std::size_t strides[] = {shape.H * shape.L * shape.D, shape.L * shape.D, shape.D, 1};
  std::copy_n(strides, 4, edit.strides);
  return edit;
}

// The mean difference of two logits of the last row, when `value` is added to one element at a place.
double metric_with(Model& model, const NaiveBatch& batch, std::size_t layer, Place place, std::size_t element,
                   float value, const Integers& answer, const Integers& against) {
  const PlaceShape shape = shape_at(model, layer, place, batch);
  Floats change(count_of(shape));
  change[element] = value;
  Edit edit = edit_of(shape, place, Edit::Operation::kAdd, change);
  std::vector<Capture> captures(model.transformer.config().layers);
  captures[layer].probe = {.edits = &edit, .edit_count = 1};
  const Floats logits = logits_with(model, batch, captures);
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
    logits_with(model, batch, captured.captures());
    for (std::size_t n = 0; n < choice.config.layers; ++n) {
      for (Place place : kPlacesWithGradients) {
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

TEST_CASE("what is captured and put back changes nothing, bit for bit, on any number of threads") {
  for (Choice& choice : choices()) {
    if (!choice.config.head || choice.patches > 0) continue;
    CAPTURE(choice.name);
    const std::size_t N = choice.config.layers;
    for (std::size_t threads = 1; threads <= (kHasThreads ? 2 : 1); ++threads) {
      for (std::size_t L : {3, 5}) {  // few queries, and packed keys
        Model model(choice.get(), threads);
        NaiveBatch batch = random_batch(choice, 2, L, 1);
        batch.mask.assign(batch.rows(), 1);
        batch.mask[0] = 0;
        Captured captured(model, batch);
        std::vector<Floats> weights;
        std::vector<Capture> captures(N), edited(N);
        for (std::size_t n = 0; n < N; ++n) {
          weights.emplace_back(count_of(shape_at(model, n, Place::kWeights, batch)));
          captures[n] = {.weights = weights[n].data(), .probe = captured.probes[n]};
        }
        const Floats plain = logits_with(model, batch, std::vector<Capture>(N));
        for (WeightsStage stage :
             {WeightsStage::kScores, WeightsStage::kCapped, WeightsStage::kMasked, WeightsStage::kProbabilities}) {
          for (Capture& capture : captures) capture.stage = stage;
          CHECK(logits_with(model, batch, captures) == plain);
        }
        for (std::size_t n = 0; n < N; ++n) {
          captured.values[n][static_cast<int>(Place::kWeights)] = weights[n];
          for (std::size_t index = 0; index < kPlaces; ++index) {
            const auto place = static_cast<Place>(index);
            CAPTURE(index);
            const Edit edit =
                edit_of(shape_at(model, n, place, batch), place, Edit::Operation::kSet, captured.values[n][index]);
            edited[n].probe = {.edits = &edit, .edit_count = 1};
            CHECK(logits_with(model, batch, edited) == plain);
          }
          edited[n] = {};
        }
      }
    }
  }
}

TEST_CASE("rows of weights that an edit changes attend by these, and the others as before") {
  Choice choice = choices().front();
  Model model(choice);
  const NaiveBatch batch = random_batch(choice, 1, 5, 1);
  const PlaceShape shape = shape_at(model, 0, Place::kWeights, batch);
  const std::size_t D = choice.config.head_dim, H = shape.H, L = shape.L;
  model.transformer.attention(0).gates()[1] = 0.3f;
  Floats weights(count_of(shape)), plain(H * L * D), heads(H * L * D), values(H * L * D);
  std::vector<Capture> captures(choice.config.layers);
  captures[0].weights = weights.data();
  captures[0].probe.captures[static_cast<int>(Place::kHeads)] = plain.data();
  captures[0].probe.captures[static_cast<int>(Place::kValue)] = values.data();
  logits_with(model, batch, captures);
  Floats changed = weights;
  const std::size_t row = L + 2;  // of head 1, which sees three keys
  for (std::size_t j = 0; j < L; ++j) changed[row * L + j] = 0.25f * static_cast<float>(j);
  const Edit edit = edit_of(shape, Place::kWeights, Edit::Operation::kSet, changed);
  captures[0].probe.edits = &edit;
  captures[0].probe.edit_count = 1;
  captures[0].probe.captures[static_cast<int>(Place::kHeads)] = heads.data();
  const Floats ungated = logits_with(model, batch, captures);
  CHECK(weights == changed);
  for (std::size_t n = 0; n < heads.size(); ++n) {
    if (n / D != row) {
      CHECK(heads[n] == plain[n]);
      continue;
    }
    double sum = 0.0;
    for (std::size_t j = 0; j < L; ++j) sum += 0.25 * static_cast<double>(j) * values[(L + j) * D + n % D];
    CHECK(heads[n] == doctest::Approx(sum).epsilon(1e-5));
  }
  captures[0].probe.captures[static_cast<int>(Place::kHeads)] = nullptr;  // gates are then applied with the weights
  const Floats gated = logits_with(model, batch, captures);
  for (std::size_t n = 0; n < gated.size(); ++n) CHECK(gated[n] == doctest::Approx(ungated[n]).epsilon(1e-4));
}

TEST_CASE("the norms' scales agree with the reference, for every choice, and norms divide by those that are set") {
  for (Choice& choice : choices()) {
    CAPTURE(choice.name);
    Model model(choice);
    const NaiveBatch batch = random_batch(choice, 2, choice.rows(), 1);
    NaiveTransformer<double> exact(model.transformer);
    NaiveTransformer<float> naive(model.transformer);
    exact.forward(batch), naive.forward(batch);
    Captured captured(model, batch);
    std::vector<Capture> captures = captured.captures();
    Floats last(batch.rows());
    Outputs outputs;
    outputs.captures = captures.data();
    if (choice.config.final_norm) outputs.norm_scale = last.data();
    REQUIRE(model.transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
    check_room(model.context.arena);
    check_close(last.data(), exact.last_scales, naive.last_scales);
    for (std::size_t n = 0; n < choice.config.layers; ++n) {
      for (Place place : kScales) {
        CAPTURE(static_cast<int>(place));
        const PlaceShape shape = shape_at(model, n, place, batch);
        const Floats& scales = captured.values[n][static_cast<int>(place)];
        if (exact.scales[n][place].empty()) {  // no such norm
          CHECK(scales == Floats(scales.size()));
          continue;
        }
        // The oracle's are [B, L, heads].
        const auto view = HeadView<const float>::heads_first(scales.data(), shape.H, shape.L, 1);
        Floats ours;
        for (std::size_t row = 0; row < scales.size(); ++row) {
          ours.push_back(*view.at(row / shape.H / shape.L, row % shape.H, row / shape.H % shape.L));
        }
        check_close(ours.data(), exact.scales[n][place], naive.scales[n][place]);
      }
    }
    if (choice.config.norm_after) {
      const Floats added = captured.values[0][static_cast<int>(Place::kAttention)];
      const float two = 2.0f;
      Edit edit{Place::kNorm1After, Edit::Operation::kScale};
      edit.values = &two;
      captures[0].probe.edits = &edit;
      captures[0].probe.edit_count = 1;
      REQUIRE(model.transformer.forward(batch.view(), outputs, model.context) == Status::kOk);
      const Floats& halved = captured.values[0][static_cast<int>(Place::kAttention)];
      for (std::size_t n = 0; n < added.size() && !choice.config.norm.bias; ++n) CHECK(halved[n] == added[n] / 2);
    }
  }
}

}  // namespace
}  // namespace headwise::test
