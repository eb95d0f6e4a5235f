#include "nn/feed_forward.hpp"

namespace headwise {

Status FeedForward::create(std::size_t E, std::size_t F, Activation activation, bool gated, bool bias,
                           WeightFormat format) {
  activation_ = activation;
  gated_ = gated;
  HEADWISE_RETURN_IF_ERROR(up_.create(E, F, bias, format));
  if (gated) HEADWISE_RETURN_IF_ERROR(gate_.create(E, F, bias, format));
  return down_.create(F, E, bias, format);
}

void FeedForward::forward(const float* x, std::size_t rows, const Hidden& hidden, float* out,
                          Context& context) const noexcept {
  const std::size_t count = rows * up_.outputs();
  up_.forward(x, rows, hidden.up, context);
  if (gated_) gate_.forward(x, rows, hidden.gate, context);
  activate(activation_, gated_ ? hidden.gate : hidden.up, gated_ ? hidden.up : nullptr, count, hidden.active,
           context.pool);
  down_.forward(hidden.active, rows, out, context);
}

std::uint64_t FeedForward::backward_scratch(std::size_t threads) const {
  return std::max(up_.backward_scratch(threads), down_.backward_scratch(threads));  // the gate's is that of `up`
}

void FeedForward::backward(const float* x, const Hidden& hidden, const float* grad_out, std::size_t rows, float* grad_x,
                           bool add, float* grad_active, bool learn, float* scratch, Context& context) noexcept {
  const std::size_t count = rows * up_.outputs();
  down_.backward(hidden.active, grad_out, rows, grad_active, false, learn, scratch, context);
  activate_backward(activation_, gated_ ? hidden.gate : hidden.up, gated_ ? hidden.up : nullptr, grad_active, count,
                    context.pool);
  up_.backward(x, hidden.up, rows, grad_x, add, learn, scratch, context);
  if (gated_) gate_.backward(x, hidden.gate, rows, grad_x, true, learn, scratch, context);
}

}  // namespace headwise
