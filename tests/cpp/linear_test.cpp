// Gradients of the linear layer, beside sums in double precision.
#include "nn/linear.hpp"

#include "support.hpp"

namespace headwise::test {
namespace {

struct Gradients {
  Floats weight, bias, x;
};

struct Case {
  std::size_t rows, inputs, outputs;
  bool bias;
};

Gradients backward(const Case& c, const Floats& weight, const Floats& x, const Floats& grad_out, std::size_t threads,
                   int times = 1, bool add = false) {
  Context context;
  start(context, threads);
  Linear linear;
  REQUIRE(linear.create(c.inputs, c.outputs, c.bias) == Status::kOk);
  REQUIRE(linear.enable_gradients() == Status::kOk);
  linear.set_weight(weight.data());
  Floats scratch(linear.backward_scratch(threads));
  Gradients result{Floats(weight.size()), Floats(c.bias ? c.outputs : 0), Floats(c.rows * c.inputs, add ? 0.5f : kNaN)};
  for (int n = 0; n < times; ++n) {
    linear.backward(x.data(), grad_out.data(), c.rows, result.x.data(), add, true, scratch.data(), context);
  }
  parameter_at(linear, 0).read_gradient(result.weight.data());
  if (c.bias) parameter_at(linear, 1).read_gradient(result.bias.data());
  linear.for_each_parameter([&](const Parameter& parameter) {  // padding is none of the weight's numbers, and stays 0
    const bool is_weight = parameter.decay;
    double sum = 0, known = 0;
    for (std::size_t i = 0; i < parameter.count; ++i) sum += std::abs(parameter.gradient[i]);
    for (const float g : is_weight ? result.weight : result.bias) known += std::abs(g);
    CHECK(sum == doctest::Approx(known));
  });
  return result;
}

template <class T>
void naive_backward(const Case& c, const Floats& weight, const Floats& x, const Floats& grad_out,
                    std::vector<T>& grad_weight, std::vector<T>& grad_bias, std::vector<T>& grad_x) {
  grad_weight.assign(c.outputs * c.inputs, 0);
  grad_bias.assign(c.bias ? c.outputs : 0, 0);
  grad_x.assign(c.rows * c.inputs, 0);
  for (std::size_t r = 0; r < c.rows; ++r) {
    for (std::size_t n = 0; n < c.outputs; ++n) {
      const T g = grad_out[r * c.outputs + n];
      if (c.bias) grad_bias[n] += g;
      for (std::size_t k = 0; k < c.inputs; ++k) {
        grad_weight[n * c.inputs + k] += g * static_cast<T>(x[r * c.inputs + k]);
        grad_x[r * c.inputs + k] += g * static_cast<T>(weight[n * c.inputs + k]);
      }
    }
  }
}

TEST_CASE("the linear layer's gradients agree with double sums, on any number of threads") {
  const Case cases[] = {{1, 1, 1, true},   {0, 3, 5, true},      {7, 5, 3, false},     {13, 17, 9, true},
                        {48, 8, 16, true}, {130, 73, 131, true}, {300, 150, 20, true}, {129, 256, 12, false},
                        {5, 0, 4, true},   {5, 4, 0, true},      {257, 16, 129, true}};
  for (const Case& c : cases) {
    const Floats weight = random_floats(c.inputs * c.outputs, 1), x = random_floats(c.rows * c.inputs, 2);
    const Floats grad_out = random_floats(c.rows * c.outputs, 3);
    const Gradients ours = backward(c, weight, x, grad_out, 1);
    std::vector<double> w64, b64, x64;
    Floats w32, b32, x32;
    naive_backward(c, weight, x, grad_out, w64, b64, x64);
    naive_backward(c, weight, x, grad_out, w32, b32, x32);
    check_close(ours.weight.data(), w64, w32);
    check_close(ours.bias.data(), b64, b32);
    check_close(ours.x.data(), x64, x32);
    for (const std::size_t threads : {2, 3, 4}) {
      if (!kHasThreads) continue;
      const Gradients same = backward(c, weight, x, grad_out, threads);
      CHECK(same.weight == ours.weight);
      CHECK(same.bias == ours.bias);
      CHECK(same.x == ours.x);
    }
  }
}

TEST_CASE("the linear layer's gradients accumulate, and that of x where it is asked to") {
  const Case c{9, 11, 10, true};
  const Floats weight = random_floats(110, 1), x = random_floats(99, 2), grad_out = random_floats(90, 3);
  const Gradients once = backward(c, weight, x, grad_out, 1), twice = backward(c, weight, x, grad_out, 1, 2, true);
  for (std::size_t n = 0; n < 110; ++n) CHECK(twice.weight[n] == 2 * once.weight[n]);
  for (std::size_t n = 0; n < 10; ++n) CHECK(twice.bias[n] == 2 * once.bias[n]);
  for (std::size_t n = 0; n < 99; ++n) CHECK(twice.x[n] == doctest::Approx(0.5 + 2 * once.x[n]).epsilon(1e-5));
}

TEST_CASE("rows without a gradient add nothing, whatever they hold") {
  const Case c{20, 6, 5, true};
  const Floats weight = random_floats(30, 1);
  Floats x = random_floats(120, 2), grad_out = random_floats(100, 3);
  std::fill_n(grad_out.begin() + 15, 5, 0.0f);
  const Gradients clean = backward(c, weight, x, grad_out, 1);
  x[18] = kNaN;
  x[19] = kInf;
  const Gradients spoiled = backward(c, weight, x, grad_out, 1);
  CHECK(spoiled.weight == clean.weight);
  CHECK(spoiled.x == clean.x);
}

}  // namespace
}  // namespace headwise::test
