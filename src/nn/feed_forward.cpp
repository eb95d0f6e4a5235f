#include "nn/feed_forward.hpp"

#include "kernels/activation.hpp"
#include "kernels/vectors.hpp"

namespace headwise {
namespace {

constexpr std::size_t kElementsPerTask = 4096;  // a multiple of any vector
constexpr double kFlops = 30.0;                 // of an element, about

// Calls fn(n, part, activations) for each vector of `count` elements, in parallel.
template <class Fn>
void for_each_element(std::size_t count, ThreadPool& pool, const Fn& fn) {
  const std::size_t tasks = (count + kElementsPerTask - 1) / kElementsPerTask;
  pool.parallel_for(tasks, kFlops * static_cast<double>(count), [&](std::size_t task, std::size_t) {
    const simd::Activations activations;
    const std::size_t first = task * kElementsPerTask;
    simd::for_each_vector(std::min(kElementsPerTask, count - first),
                          [&](std::size_t n, auto part) { fn(first + n, part, activations); });
  });
}

}  // namespace

Status FeedForward::create(std::size_t E, std::size_t F, Activation activation, bool bias) {
  activation_ = activation;
  HEADWISE_RETURN_IF_ERROR(up_.create(E, F, bias));
  if (gated()) HEADWISE_RETURN_IF_ERROR(gate_.create(E, F, bias));
  return down_.create(F, E, bias);
}

void FeedForward::forward(const float* x, std::size_t rows, const Hidden& hidden, float* out,
                          Context& context) const noexcept {
  const std::size_t count = rows * up_.outputs();
  const auto activate = [&](const float* from, const auto& f) {
    for_each_element(count, context.pool, [&](std::size_t n, auto part, const simd::Activations& activations) {
      simd::store(hidden.active + n, f(activations, simd::load(from + n, part), n, part), part);
    });
  };
  using Functions = simd::Activations;
  up_.forward(x, rows, hidden.up, context);
  if (activation_ == Activation::kRelu) {
    activate(hidden.up, [](const Functions& of, simd::Vec up, auto, auto) { return of.relu(up); });
  } else if (activation_ == Activation::kGelu) {
    activate(hidden.up, [](const Functions& of, simd::Vec up, auto, auto) { return of.gelu(up); });
  } else {
    gate_.forward(x, rows, hidden.gate, context);
    activate(hidden.gate, [&](const Functions& of, simd::Vec gate, std::size_t n, auto part) {
      return of.silu(gate) * simd::load(hidden.up + n, part);
    });
  }
  down_.forward(hidden.active, rows, out, context);
}

std::uint64_t FeedForward::backward_scratch(std::size_t threads) const {
  return std::max(up_.backward_scratch(threads), down_.backward_scratch(threads));  // the gate's is that of `up`
}

void FeedForward::backward(const float* x, const Hidden& hidden, const float* grad_out, std::size_t rows, float* grad_x,
                           float* grad_active, float* scratch, Context& context) noexcept {
  down_.backward(hidden.active, grad_out, rows, grad_active, false, scratch, context);
  const std::size_t count = rows * up_.outputs();
  const auto to_up = [&](const auto& slope) {  // in place: up becomes its gradient
    for_each_element(count, context.pool, [&](std::size_t n, auto part, const simd::Activations& of) {
      const simd::Vec gradient = simd::load(grad_active + n, part);
      simd::store(hidden.up + n, gradient * slope(of, simd::load(hidden.up + n, part)), part);
    });
  };
  if (activation_ == Activation::kRelu) {
    to_up([](const simd::Activations& of, simd::Vec up) { return of.relu_slope(up); });
  } else if (activation_ == Activation::kGelu) {
    to_up([](const simd::Activations& of, simd::Vec up) { return of.gelu_slope(up); });
  } else {
    for_each_element(count, context.pool, [&](std::size_t n, auto part, const simd::Activations& of) {
      const simd::Vec gradient = simd::load(grad_active + n, part);
      const simd::Vec gate = simd::load(hidden.gate + n, part), up = simd::load(hidden.up + n, part);
      simd::store(hidden.gate + n, gradient * up * of.silu_slope(gate), part);
      simd::store(hidden.up + n, gradient * of.silu(gate), part);
    });
  }
  up_.backward(x, hidden.up, rows, grad_x, false, scratch, context);
  if (gated()) gate_.backward(x, hidden.gate, rows, grad_x, true, scratch, context);
}

}  // namespace headwise
