// Parts of the transformer, beside the same in double precision.
#include "gradients.hpp"
#include "kernels/activation.hpp"
#include "nn/adamw.hpp"
#include "nn/cross_entropy.hpp"
#include "nn/feed_forward.hpp"
#include "nn/norm.hpp"

namespace headwise::test {
namespace {

Doubles doubles(const Floats& values) { return {values.begin(), values.end()}; }

// Row by row; `shift` 0: RMS norm.
template <class T>
std::vector<T> naive_norm(const std::vector<T>& x, std::size_t E, bool centred, T epsilon, const std::vector<T>& weight,
                          const std::vector<T>& bias) {
  std::vector<T> out(x.size());
  for (std::size_t row = 0; row < x.size(); row += E) {
    T mean = 0, squares = 0;
    for (std::size_t n = 0; centred && n < E; ++n) mean += x[row + n] / static_cast<T>(E);
    for (std::size_t n = 0; n < E; ++n) squares += (x[row + n] - mean) * (x[row + n] - mean);
    const T root = std::sqrt(squares / static_cast<T>(E) + epsilon);
    for (std::size_t n = 0; n < E; ++n) {
      out[row + n] = (x[row + n] - mean) / root * weight[n] + (bias.empty() ? T{0} : bias[n]);
    }
  }
  return out;
}

TEST_CASE("norms and their gradients agree with double precision, on any number of threads") {
  for (const NormConfig& config :
       {NormConfig{NormKind::kLayer, true, 1e-5f}, NormConfig{NormKind::kLayer, false, 1e-3f},
        NormConfig{NormKind::kRms, false, 1e-6f}}) {
    for (const std::size_t E : {1, 5, 8, 19}) {
      const bool centred = config.kind == NormKind::kLayer;
      const std::size_t rows = 70;  // more than two tasks
      const double epsilon = config.epsilon;
      Floats first;  // of all results, with one thread
      for (const std::size_t threads : {std::size_t{1}, std::size_t{kHasThreads ? 3 : 1}}) {
        ThreadPool pool;
        REQUIRE(pool.start(threads) == Status::kOk);
        Norm norm;
        REQUIRE(norm.create(config, E) == Status::kOk);
        const Floats x = random_floats(rows * E, 1, 3.0f), grad_out = random_floats(rows * E, 2);
        std::vector<Doubles> values;
        norm.visit([&](ParameterBuffer& buffer) {
          REQUIRE(buffer.enable_gradients() == Status::kOk);
          const Floats random = random_floats(E, 3 + static_cast<std::uint32_t>(values.size()));
          std::copy(random.begin(), random.end(), buffer.value());
          values.push_back(doubles(random));
        });
        values.resize(2);
        Floats out(rows * E), grad_x(rows * E, 0.5f), scratch(norm.backward_scratch(rows), kNaN);
        norm.forward(x.data(), rows, out.data(), pool);
        norm.backward(x.data(), grad_out.data(), rows, grad_x.data(), true, scratch.data(), pool);

        Norm frozen;  // it passes the same gradient on
        Floats same(rows * E, 0.5f);
        REQUIRE(frozen.create(config, E) == Status::kOk);
        frozen.copy_parameters(norm);
        frozen.backward(x.data(), grad_out.data(), rows, same.data(), false, scratch.data(), pool);
        CHECK(same == grad_x);

        const auto floats = [](const Doubles& v) { return Floats(v.begin(), v.end()); };
        check_close(out.data(), naive_norm(doubles(x), E, centred, epsilon, values[0], values[1]),
                    naive_norm(x, E, centred, static_cast<float>(epsilon), floats(values[0]), floats(values[1])));
        Doubles inputs = doubles(x);
        const auto loss = [&] {
          const Doubles y = naive_norm(inputs, E, centred, epsilon, values[0], values[1]);
          double sum = 0;
          for (std::size_t n = 0; n < y.size(); ++n) sum += y[n] * grad_out[n];
          return sum;
        };
        Doubles exact = central_differences(inputs, loss);
        for (double& value : exact) value += 0.5;  // it is added to
        check_gradient(grad_x.data(), exact);
        std::size_t n = 0;
        Floats all = out;
        all.insert(all.end(), grad_x.begin(), grad_x.end());
        norm.visit([&](ParameterBuffer& buffer) {
          check_gradient(buffer.gradient(), central_differences(values[n++], loss));
          all.insert(all.end(), buffer.gradient(), buffer.gradient() + E);
        });
        if (first.empty()) first = all;
        CHECK(all == first);
      }
    }
  }
}

TEST_CASE("activations and their slopes agree with double precision") {
  const simd::Activations of;
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto gelu = [](double x) {
    return x / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x)));
  };
  const auto gelu_erf = [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); };
  const auto quick_gelu = [&](double x) { return x * sigmoid(1.702 * x); };
  const auto hyperbolic = [](double x) { return std::tanh(x); };
  const auto silu = [&](double x) { return x * sigmoid(x); };
  const auto slope = [](const auto& f, double x) { return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5; };
  const auto lane = [](simd::Vec v) {
    alignas(64) float lanes[simd::kLanes];
    simd::store(lanes, v);
    return static_cast<double>(lanes[0]);
  };
  for (const double at : {0.0, 1e-3, -1e-3, 0.5, -0.5, 1.7, -1.7, 4.0, -4.0, 20.0, -20.0, 300.0, -300.0}) {
    const float x = static_cast<float>(at);
    const simd::Vec v = simd::splat(x);
    const auto close = [&](double ours, double exact, double tolerance) {
      CAPTURE(at);
      CHECK(std::abs(ours - exact) <= tolerance * std::max(1.0, std::abs(exact)));
    };
    close(lane(of.relu(v)), std::max(at, 0.0), 1e-7);
    close(lane(of.relu_slope(v)), at > 0 ? 1 : 0, 0);
    close(lane(of.gelu(v)), gelu(x), 1e-6);
    close(lane(of.gelu_slope(v)), slope(gelu, x), 2e-6);
    close(lane(of.gelu_erf(v)), gelu_erf(x), 1e-6);
    close(lane(of.gelu_erf_slope(v)), slope(gelu_erf, x), 2e-6);
    close(lane(of.quick_gelu(v)), quick_gelu(x), 1e-6);
    close(lane(of.quick_gelu_slope(v)), slope(quick_gelu, x), 2e-6);
    close(lane(of.tanh(v)), hyperbolic(x), 1e-6);
    close(lane(of.tanh_slope(v)), slope(hyperbolic, x), 2e-6);
    close(lane(of.silu(v)), silu(x), 1e-6);
    close(lane(of.silu_slope(v)), slope(silu, x), 2e-6);
  }
}

TEST_CASE("cross-entropy: loss, hits and gradient, in rows of every length") {
  for (const std::size_t V : {1, 7, 8, 21}) {
    const std::size_t rows = 40;
    Floats logits = random_floats(rows * V, 1, 9.0f);
    std::vector<std::int32_t> targets(rows);
    for (std::size_t i = 0; i < rows; ++i) targets[i] = i % 5 == 0 ? kIgnored : static_cast<std::int32_t>(i * 3 % V);
    logits[2 * V] = -kInf;  // row 2; with one column, its target
    if (V > 1) std::fill_n(logits.begin() + static_cast<std::ptrdiff_t>(V), V, 2e4f);  // row 1: all equal, and large
    if (V == 1) logits[2 * V] = -3e4f;
    double mean = 0;
    std::size_t correct = 0, count = 0;
    Doubles gradient(rows * V);
    for (std::size_t i = 0; i < rows; ++i) {
      if (targets[i] == kIgnored) continue;
      const float* row = logits.data() + i * V;
      const auto target = static_cast<std::size_t>(targets[i]);
      const float* largest = std::max_element(row, row + V);
      double sum = 0;
      for (std::size_t v = 0; v < V; ++v) sum += std::exp(static_cast<double>(row[v]) - *largest);
      mean += std::log(sum) + *largest - static_cast<double>(row[target]);
      correct += largest == row + target;
      ++count;
      for (std::size_t v = 0; v < V; ++v) {
        gradient[i * V + v] = std::exp(static_cast<double>(row[v]) - *largest) / sum - (v == target);
      }
    }
    mean /= static_cast<double>(count);
    for (double& value : gradient) value /= static_cast<double>(count);
    for (const std::size_t threads : {std::size_t{1}, std::size_t{kHasThreads ? 3 : 1}}) {
      Context context;
      start(context, threads);
      Floats ours = logits;
      const auto measure = [&](bool with_gradient) {
        REQUIRE(context.arena.reserve(cross_entropy_scratch(rows, V, threads)) == Status::kOk);
        const Loss measured = cross_entropy(ours.data(), targets.data(), rows, V, with_gradient, context);
        check_room(context.arena);
        return measured;
      };
      const Loss plain = measure(false);
      CHECK(ours == logits);
      const Loss loss = measure(true);
      CHECK(loss.mean == plain.mean);
      CHECK(loss.count == count);
      CHECK(loss.correct == correct);
      CHECK(std::abs(loss.mean - mean) <= 1e-6 * std::max(mean, 1.0));
      check_gradient(ours.data(), gradient);
    }
  }
}

TEST_CASE("cross-entropy of logits up to the largest float") {
  Context context;
  REQUIRE(context.arena.reserve(cross_entropy_scratch(1, 3, 1)) == Status::kOk);
  Floats logits = {3e38f, 3e38f, -3e38f};
  const std::int32_t target = 1;
  const Loss loss = cross_entropy(logits.data(), &target, 1, 3, true, context);
  CHECK(loss.mean == doctest::Approx(std::log(2.0)));
  CHECK(logits == Floats{0.5f, -0.5f, 0.0f});
}

TEST_CASE("cross-entropy of no target at all is 0, and so are its gradients") {
  Context context;
  REQUIRE(context.arena.reserve(cross_entropy_scratch(3, 4, 1)) == Status::kOk);
  const std::vector<std::int32_t> targets(3, kIgnored);
  Floats logits = random_floats(12, 1);
  const Loss loss = cross_entropy(logits.data(), targets.data(), 3, 4, true, context);
  CHECK(loss.mean == 0.0);
  CHECK(loss.count == 0);
  CHECK(logits == Floats(12, 0.0f));
}

TEST_CASE("AdamW agrees with double precision over several steps, on any number of threads") {
  const std::size_t count = 20001;  // more than two tasks, and no whole number of vectors
  for (const bool decay : {true, false}) {
    Floats first;
    for (const std::size_t threads : {std::size_t{1}, std::size_t{kHasThreads ? 3 : 1}}) {
      ThreadPool pool;
      REQUIRE(pool.start(threads) == Status::kOk);
      ParameterBuffer buffer;
      REQUIRE(buffer.create(count, decay, 0.0f) == Status::kOk);
      REQUIRE(buffer.enable_gradients() == Status::kOk);
      const Floats start = random_floats(count, 1);
      std::copy(start.begin(), start.end(), buffer.value());
      Moments moments;
      REQUIRE(moments.create(buffer) == Status::kOk);
      Doubles value = doubles(start), m(count), v(count);
      for (int t = 1; t <= 4; ++t) {
        const Floats gradient = random_floats(count, 10 + static_cast<std::uint32_t>(t), 0.1f);
        std::copy(gradient.begin(), gradient.end(), buffer.gradient());
        double squares = 0;
        for (const float g : gradient) squares += static_cast<double>(g) * g;
        CHECK(std::abs(sum_of_squares(gradient.data(), count, pool) - squares) <= 1e-12 * squares);
        const double lr = 0.01 * t, scale = t == 2 ? 0.25 : 1.0, c1 = 1 - std::pow(0.9, t), c2 = 1 - std::pow(0.99, t);
        moments.update({static_cast<float>(lr), 0.9f, 0.99f, 1e-8f, 0.1f, static_cast<float>(c1),
                        static_cast<float>(c2), static_cast<float>(scale)},
                       buffer, pool);
        for (std::size_t n = 0; n < count; ++n) {
          const double g = gradient[n] * scale;
          m[n] = 0.9 * m[n] + 0.1 * g;
          v[n] = 0.99 * v[n] + 0.01 * g * g;
          value[n] -= lr * (m[n] / c1 / (std::sqrt(v[n] / c2) + 1e-8) + (decay ? 0.1 * value[n] : 0.0));
        }
      }
      double error = 0;
      for (std::size_t n = 0; n < count; ++n) error = std::max(error, std::abs(buffer.value()[n] - value[n]));
      CHECK(error < 1e-6);
      const Floats result(buffer.value(), buffer.value() + count);
      if (first.empty()) first = result;
      CHECK(result == first);
    }
  }
}

}  // namespace
}  // namespace headwise::test
